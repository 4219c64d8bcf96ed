//! InitProducerId: an id and an epoch for an idempotent producer.
//!
//! A transactional id is refused with the one error on which every client gives up for good: there are no transactions here.

use taffrail_env::Env;
use taffrail_record::{NO_PRODUCER_EPOCH, NO_PRODUCER_ID};
use taffrail_wire::ErrorCode;
use taffrail_wire::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

use super::{Answer, Call, code};

pub(crate) async fn handle<E: Env>(call: &Call<E>, request: InitProducerIdRequest<'_>) -> Answer {
    // Whoever has one goes on with both.
    let is_half =
        (request.producer_id == NO_PRODUCER_ID) != (request.producer_epoch == NO_PRODUCER_EPOCH);
    let next = match request.transactional_id {
        _ if is_half => Err(ErrorCode::InvalidRequest),
        Some("") => Err(ErrorCode::InvalidRequest),
        Some(_) => Err(ErrorCode::TransactionalIdAuthorizationFailed),
        None => call.broker.producer_ids.next().await,
    };
    call.answer(&match next {
        Ok(producer_id) => InitProducerIdResponse {
            producer_id,
            producer_epoch: 0,
            ..InitProducerIdResponse::default()
        },
        Err(error) => InitProducerIdResponse {
            error_code: code(error),
            producer_id: -1,
            producer_epoch: -1,
            ..InitProducerIdResponse::default()
        },
    })
}

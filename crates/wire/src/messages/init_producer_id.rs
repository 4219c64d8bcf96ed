//! InitProducerId: a producer id and epoch for an idempotent or transactional producer.

api! {
    InitProducerId = 22 {
        versions: 0..=5,
        flexible: 2,
        request: InitProducerIdRequest<'a>,
        response: InitProducerIdResponse,
    }
}

tables! {
    /// The request of InitProducerId.
    struct InitProducerIdRequest<'a> {
        transactional_id: Option<&'a str>, 0..;
        transaction_timeout_ms: i32, 0..;
        producer_id: i64, 3.., [default -1];
        producer_epoch: i16, 3.., [default -1];
    }

    /// The response of InitProducerId.
    struct InitProducerIdResponse {
        throttle_time_ms: i32, 0.., [ignorable];
        error_code: i16, 0..;
        producer_id: i64, 0.., [default -1];
        producer_epoch: i16, 0..;
    }
}

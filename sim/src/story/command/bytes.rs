//! `bytes`: somebody sends bytes that no client would.

use super::Command;
use crate::story::act::{Act, Answer, say};
use crate::story::actor::Hands;
use crate::story::play::Play;
use bytes::BytesMut;
use futures_util::future::{Either, select};
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Duration;
use taffrail_env::{Clock, Connection, Net};

pub const COMMAND: Command = Command {
    name: "bytes",
    usage: "CLIENT HEX ... [within=TIME]",
    about: "sends bytes on a connection of their own, and says what comes back",
    read: |words| {
        let client = words.next("CLIENT")?.to_owned();
        let within = words.option_duration("within")?;
        let digits = words.rest("HEX")?.concat();
        let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
        let bytes: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(byte).collect();
        Ok(Box::new(Send {
            client,
            bytes: bytes.ok_or("bytes are pairs of hexadecimal digits")?,
            within: within.unwrap_or(Duration::from_secs(5)),
        }))
    },
};

struct Send {
    client: String,
    bytes: Vec<u8>,
    within: Duration,
}

impl Act for Send {
    fn run<'a>(&'a self, play: &'a Play) -> Pin<Box<dyn Future<Output = Answer> + 'a>> {
        Box::pin(async move {
            let broker = play.broker()?.address();
            let (bytes, within) = (self.bytes.clone(), self.within);
            let errand = move |hands: Rc<Hands>| async move {
                let connection = match hands.env.connect(&broker).await {
                    Ok(connection) => connection,
                    Err(error) => return format!("no connection: {error}"),
                };
                if let Err(error) = connection.write(vec![bytes.into()]).await {
                    return format!("not sent: {error}");
                }
                let mut answer = BytesMut::new();
                let read = pin!(connection.read(&mut answer, 1 << 16));
                let late = pin!(hands.env.sleep(within));
                match select(read, late).await {
                    Either::Left((Ok(0), _)) => "the connection is closed".to_owned(),
                    Either::Left((Ok(count), _)) => format!("{count} bytes come back"),
                    Either::Left((Err(error), _)) => format!("the connection breaks: {error}"),
                    Either::Right(_) => format!("nothing for {within:?}"),
                }
            };
            let answer = play.client(&self.client)?.ask(errand).await;
            say(answer.ok_or("the client died over it")?)
        })
    }
}

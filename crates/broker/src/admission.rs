//! Which new connections are let in: so many at a time, so many and so often from one address.
//!
//! Pure: time comes in as an argument. Loopback is free of the limits per address unless they were set. What must
//! hold: memory is bounded by the connections that are open and the addresses seen within the last second.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use taffrail_env::Instant;

use crate::config::BrokerSettings;

/// New connections per second from one address, unless set.
const RATE_DEFAULT: u32 = 20;
/// Connections at a time from one address, unless set.
const PER_ADDRESS_DEFAULT: usize = 200;
/// The window in which new connections of an address are counted.
const WINDOW: Duration = Duration::from_secs(1);

/// The limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub connections_max: usize,
    /// `None`: the default, which spares loopback.
    pub per_address_max: Option<usize>,
    /// New ones per second; `None`: the default, which spares loopback.
    pub rate_max: Option<u32>,
}

impl Limits {
    /// The limits as configured.
    pub fn of(settings: &BrokerSettings) -> Limits {
        Limits {
            connections_max: settings.max_connections as usize,
            per_address_max: settings.max_connections_per_ip.map(|max| max as usize),
            rate_max: settings
                .max_connection_creation_rate_per_ip
                .map(|rate| rate as u32),
        }
    }
}

/// Why a connection is closed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    Total { max: usize },
    PerAddress { max: usize },
    Rate { max: u32 },
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Total { max } => write!(f, "{max} connections are open (max.connections)"),
            Refused::PerAddress { max } => write!(
                f,
                "{max} connections from this address are open (max.connections.per.ip)"
            ),
            Refused::Rate { max } => write!(
                f,
                "{max} connections from this address within a second (max.connection.creation.rate.per.ip)"
            ),
        }
    }
}

#[derive(Debug, Default)]
struct Address {
    open: usize,
    window_began: Instant,
    begun: u32,
}

/// Counts connections.
#[derive(Debug)]
pub struct Admission {
    limits: Limits,
    open: usize,
    addresses: BTreeMap<IpAddr, Address>,
}

impl Admission {
    pub fn new(limits: Limits) -> Admission {
        Admission {
            limits,
            open: 0,
            addresses: BTreeMap::new(),
        }
    }

    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Lets a connection in, or says why not. Each one let in is to be followed by one [`Admission::on_closed`].
    pub fn on_connection(&mut self, now: Instant, address: IpAddr) -> Result<(), Refused> {
        if self.open >= self.limits.connections_max {
            return Err(Refused::Total {
                max: self.limits.connections_max,
            });
        }
        self.forget_idle(now);
        let spared = address.is_loopback();
        let entry = self.addresses.entry(address).or_default();
        let per_address_max = self
            .limits
            .per_address_max
            .or((!spared).then_some(PER_ADDRESS_DEFAULT));
        if let Some(max) = per_address_max
            && entry.open >= max
        {
            return Err(Refused::PerAddress { max });
        }
        let rate_max = self.limits.rate_max.or((!spared).then_some(RATE_DEFAULT));
        if now.saturating_since(entry.window_began) >= WINDOW {
            entry.window_began = now;
            entry.begun = 0;
        }
        if let Some(max) = rate_max
            && entry.begun >= max
        {
            return Err(Refused::Rate { max });
        }
        entry.begun = entry.begun.saturating_add(1);
        entry.open += 1;
        self.open += 1;
        Ok(())
    }

    /// A connection that was let in is closed.
    pub fn on_closed(&mut self, address: IpAddr) {
        self.open -= 1;
        if let Some(entry) = self.addresses.get_mut(&address) {
            entry.open -= 1;
        }
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.open
    }

    /// Forgets addresses without a connection whose window is over, when there are many.
    fn forget_idle(&mut self, now: Instant) {
        if self.addresses.len() > 2 * self.open + 64 {
            self.addresses.retain(|_, entry| {
                entry.open > 0 || now.saturating_since(entry.window_began) < WINDOW
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Limits = Limits {
        connections_max: 1_000,
        per_address_max: None,
        rate_max: None,
    };

    fn far(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn one_address_gets_twenty_a_second_and_others_are_not_affected() {
        let mut admission = Admission::new(ALL);
        let now = Instant(5_000_000_000);
        for _ in 0..20 {
            assert_eq!(admission.on_connection(now, far(1)), Ok(()));
        }
        assert_eq!(
            admission.on_connection(now, far(1)),
            Err(Refused::Rate { max: 20 })
        );
        assert_eq!(admission.on_connection(now, far(2)), Ok(()));
        assert_eq!(admission.on_connection(now + WINDOW, far(1)), Ok(()));
        assert_eq!(admission.open(), 22);
    }

    #[test]
    fn one_address_keeps_two_hundred_and_a_closed_one_makes_room() {
        let mut admission = Admission::new(ALL);
        let mut now = Instant(0);
        for _ in 0..200 {
            now = now + WINDOW;
            assert_eq!(admission.on_connection(now, far(1)), Ok(()));
        }
        now = now + WINDOW;
        assert_eq!(
            admission.on_connection(now, far(1)),
            Err(Refused::PerAddress { max: 200 })
        );
        admission.on_closed(far(1));
        assert_eq!(admission.on_connection(now, far(1)), Ok(()));
    }

    #[test]
    fn loopback_is_spared_unless_a_limit_was_set() {
        let loopback = IpAddr::from([127, 0, 0, 1]);
        let mut admission = Admission::new(ALL);
        for _ in 0..500 {
            assert_eq!(admission.on_connection(Instant(0), loopback), Ok(()));
        }
        let mut admission = Admission::new(Limits {
            rate_max: Some(1),
            ..ALL
        });
        assert_eq!(admission.on_connection(Instant(0), loopback), Ok(()));
        assert!(admission.on_connection(Instant(0), loopback).is_err());
    }

    #[test]
    fn the_total_holds_for_everybody_and_idle_addresses_are_forgotten() {
        let mut admission = Admission::new(Limits {
            connections_max: 1,
            ..ALL
        });
        for round in 0..1_000u32 {
            let now = Instant(u64::from(round) * 2_000_000_000);
            let address = IpAddr::from((0x0a00_0000 + round).to_be_bytes());
            assert_eq!(admission.on_connection(now, address), Ok(()));
            assert_eq!(
                admission.on_connection(now, far(1)),
                Err(Refused::Total { max: 1 })
            );
            admission.on_closed(address);
        }
        assert!(admission.addresses.len() < 100);
    }
}

//! The words of one line: names and values in their places, and `KEY=VALUE` options anywhere.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::str::FromStr;
use std::time::Duration;
use taffrail_client::TopicPartitionName;

/// Taken apart from the left; what is left over in the end is wrong.
pub struct Words<'l> {
    pub command: &'l str,
    plain: VecDeque<&'l str>,
    options: BTreeMap<&'l str, &'l str>,
}

impl<'l> Words<'l> {
    pub fn of(line: &'l str) -> Words<'l> {
        let mut all = line.split_whitespace();
        let command = all.next().unwrap_or_default();
        let mut words = Words {
            command,
            plain: VecDeque::new(),
            options: BTreeMap::new(),
        };
        for word in all {
            match word.split_once('=') {
                Some((key, value)) => drop(words.options.insert(key, value)),
                None => words.plain.push_back(word),
            }
        }
        words
    }

    /// The next word.
    pub fn next(&mut self, what: &str) -> Result<&'l str, String> {
        self.plain
            .pop_front()
            .ok_or_else(|| format!("{what} is missing"))
    }

    /// All words that are left, at least one.
    pub fn rest(&mut self, what: &str) -> Result<Vec<String>, String> {
        if self.plain.is_empty() {
            return Err(format!("{what} is missing"));
        }
        Ok(self.plain.drain(..).map(str::to_owned).collect())
    }

    pub fn number<T: FromStr>(&mut self, what: &str) -> Result<T, String> {
        let word = self.next(what)?;
        parse(word, what)
    }

    /// `TOPIC/PARTITION`.
    pub fn partition(&mut self) -> Result<TopicPartitionName, String> {
        let word = self.next("TOPIC/PARTITION")?;
        let named = word.rsplit_once('/').and_then(|(topic, partition)| {
            let partition: i32 = partition.parse().ok()?;
            Some(TopicPartitionName::new(topic, partition))
        });
        named.ok_or_else(|| format!("`{word}` is not TOPIC/PARTITION, such as orders/0"))
    }

    /// The option's value.
    pub fn option(&mut self, name: &str) -> Option<&'l str> {
        self.options.remove(name)
    }

    pub fn option_number<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, String> {
        let value = self.option(name);
        value.map(|value| parse(value, name)).transpose()
    }

    pub fn option_duration(&mut self, name: &str) -> Result<Option<Duration>, String> {
        self.option(name).map(duration).transpose()
    }

    /// The options that are left.
    pub fn take_options(&mut self) -> BTreeMap<String, String> {
        let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        std::mem::take(&mut self.options)
            .into_iter()
            .map(owned)
            .collect()
    }

    /// Nothing is left over.
    pub fn end(&self) -> Result<(), String> {
        let option = self.options.iter().next();
        match (self.plain.front(), option) {
            (Some(word), _) => Err(format!("`{word}` is one word too many")),
            (None, Some((key, _))) => Err(format!("there is no option `{key}`")),
            (None, None) => Ok(()),
        }
    }
}

fn parse<T: FromStr>(word: &str, what: &str) -> Result<T, String> {
    word.parse()
        .map_err(|_| format!("`{word}` is not a number for {what}"))
}

/// `5ms`, `3s`, `2m`, `4h`, `10d`.
pub fn duration(word: &str) -> Result<Duration, String> {
    let wrong = || format!("`{word}` is no time, such as 200ms, 3s, 5m, 2h or 10d");
    let digits = word.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let millis = match &word[digits.len()..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    number
        .checked_mul(millis)
        .map(Duration::from_millis)
        .ok_or_else(wrong)
}

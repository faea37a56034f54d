//! Single words of the command line: times, addresses, values, fields, conditions.

use super::column_type;
use crate::control::{Comparison, Filter};
use crate::exit::Failure;
use crate::formats::{Typed, parse_json};
use crate::limits::NAME_LIMIT_BYTES;
use crate::path::{Path, Step};
use std::net::SocketAddr;

/// A time such as `90s`, `30m`, `24h`, `7d`, in milliseconds.
pub(super) fn time_ms(option: &str, text: &str) -> Result<u64, Failure> {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let unit_ms = match &text[digits..] {
        "ms" => 1,
        "s" => 1000,
        "m" | "min" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        "d" => 24 * 60 * 60 * 1000,
        _ => 0,
    };
    let time = text[..digits].parse::<u64>().ok().and_then(|count| count.checked_mul(unit_ms));
    match time {
        // A hundred years is beyond any use, and keeps every sum of times small.
        Some(time) if time > 0 && time <= 100 * 366 * 24 * 60 * 60 * 1000 => Ok(time),
        _ => Err(Failure::usage(format!("{option} {text:?} is not a time"))
            .remedy("write a number with ms, s, m, h or d: 90s, 24h")),
    }
}

/// The name of a space or a collection.
pub(super) fn name(what: &str, text: String) -> Result<String, Failure> {
    if text.trim() != text || text.is_empty() || text.chars().any(char::is_control) || text.len() > NAME_LIMIT_BYTES {
        return Err(Failure::usage(format!("{text:?} cannot name a {what}")).remedy(format!(
            "a name has 1 to {NAME_LIMIT_BYTES} bytes, no control characters, and no space at its ends"
        )));
    }
    Ok(text)
}

/// A multiaddr, as far as it can be told without the network crate.
pub(super) fn multiaddr(option: &str, text: String) -> Result<String, Failure> {
    if text.starts_with('/') && text.len() > 1 && !text.contains(char::is_whitespace) {
        return Ok(text);
    }
    Err(Failure::usage(format!("{option} {text:?} is not a multiaddr"))
        .remedy("write /ip4/192.0.2.7/tcp/4001, for example"))
}

/// An address to listen on: a multiaddr, or IP:PORT for TCP.
pub(super) fn listen(text: String) -> Result<String, Failure> {
    if text.starts_with('/') {
        return multiaddr("--listen", text);
    }
    match text.parse::<SocketAddr>() {
        Ok(SocketAddr::V4(address)) => Ok(format!("/ip4/{}/tcp/{}", address.ip(), address.port())),
        Ok(SocketAddr::V6(address)) => Ok(format!("/ip6/{}/tcp/{}", address.ip(), address.port())),
        Err(_) => Err(Failure::usage(format!("--listen {text:?} is neither IP:PORT nor a multiaddr"))
            .remedy("write 0.0.0.0:4001, [::]:4001 or /ip4/0.0.0.0/udp/4001/quic-v1, for example")),
    }
}

/// A path into a document.
pub(super) fn path(text: &str) -> Result<Path, Failure> {
    text.parse().map_err(|error: crate::path::PathError| Failure::usage(error.to_string()))
}

/// A place in a list for an insertion.
pub(super) fn insert_path(text: &str) -> Result<Path, Failure> {
    let path = path(text)?;
    let (parents, last) = path.split_last();
    if matches!(last, Step::Field(_)) {
        return Err(Failure::usage(format!("{path} is not a place in a list"))
            .remedy(format!("write {path}[] for its end, {path}[0] for its beginning; `edit set` puts a field")));
    }
    if parents.contains(&Step::End) {
        return Err(Failure::usage(format!(
            "only the last step of {path} can be [], the place behind the last element"
        )));
    }
    Ok(path)
}

/// A value: of a declared type; or else JSON, or else a string.
pub(super) fn value(text: &str, kind: Option<String>) -> Result<Typed, Failure> {
    match kind {
        Some(kind) => {
            let kind = column_type(&kind)?;
            kind.parse(text).map_err(|what| Failure::usage(format!("{text:?} {what}")))
        }
        None => Ok(parse_json(text).unwrap_or_else(|_| Typed::String(text.to_owned()))),
    }
}

/// A field: `NAME=STRING`, `NAME:=JSON` or `NAME:TYPE=VALUE`; a name with `=` or `:` in it is a JSON string.
pub(super) fn field(text: &str) -> Result<(String, Typed), Failure> {
    const REMEDY: &str =
        "write NAME=STRING, NAME:=JSON or NAME:TYPE=VALUE, such as title=Milk done:=false visits:counter=0";
    let (name, rest) = if text.starts_with('"') {
        let mut names = serde_json::Deserializer::from_str(text).into_iter::<String>();
        match names.next() {
            Some(Ok(name)) => {
                let at = names.byte_offset();
                (name, &text[at..])
            }
            _ => {
                return Err(
                    Failure::usage(format!("the name in {text:?} is not a string as JSON has it")).remedy(REMEDY)
                );
            }
        }
    } else {
        let end = text.find(['=', ':']).unwrap_or(text.len());
        (text[..end].to_owned(), &text[end..])
    };
    if name.is_empty() {
        return Err(Failure::usage(format!("{text:?} has no field name")).remedy(REMEDY));
    }
    let value = if let Some(json) = rest.strip_prefix(":=") {
        parse_json(json)
            .map_err(|error| Failure::usage(format!("the value in {text:?} is not JSON: {error}")).remedy(REMEDY))?
    } else if let Some(string) = rest.strip_prefix('=') {
        Typed::String(string.to_owned())
    } else if let Some((kind, value)) = rest.strip_prefix(':').and_then(|rest| rest.split_once('=')) {
        self::value(value, Some(kind.to_owned())).map_err(|failure| failure.remedy(REMEDY))?
    } else {
        return Err(Failure::usage(format!("{text:?} is not a field")).remedy(REMEDY));
    };
    Ok((name, value))
}

/// A condition: `PATH=VALUE`, with `!=`, `<`, `<=`, `>` or `>=` in place of the equals sign.
pub(super) fn condition(text: &str) -> Result<Filter, Failure> {
    let not_understood = || {
        Failure::usage(format!("--where {text:?} is not a condition"))
            .remedy("write PATH=VALUE, or != < <= > >= in place of =, such as 'elevation>=1000'")
    };
    let at = operator(text).ok_or_else(not_understood)?;
    let (path, rest) = text.split_at(at);
    let (comparison, length) = match rest.as_bytes() {
        [b'!', b'=', ..] => (Comparison::NotEqual, 2),
        [b'<', b'=', ..] => (Comparison::AtMost, 2),
        [b'>', b'=', ..] => (Comparison::AtLeast, 2),
        [b'=', b'=', ..] => (Comparison::Equal, 2),
        [b'<', ..] => (Comparison::Less, 1),
        [b'>', ..] => (Comparison::Greater, 1),
        [b'=', ..] => (Comparison::Equal, 1),
        _ => return Err(not_understood()),
    };
    let path = self::path(path.trim())?.without_end()?;
    Ok(Filter { path, comparison, value: value(rest[length..].trim(), None)? })
}

/// Where the operator begins: the first character of one that is outside the quotes of a path.
fn operator(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '=' | '!' | '<' | '>' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_and_bounds() {
        for (text, time) in [("90s", 90_000), ("30m", 1_800_000), ("24h", 86_400_000), ("7d", 604_800_000), ("5ms", 5)]
        {
            assert_eq!(time_ms("--valid", text).unwrap(), time);
        }
        for text in ["", "5", "h", "0s", "-5s", "1.5h", "99999999999999999999d", "999999999d", "5 s", "5w"] {
            assert!(time_ms("--valid", text).unwrap_err().message.contains("--valid"), "{text}");
        }
    }

    #[test]
    fn fields_are_strings_json_or_of_a_type() {
        let string = |text: &str| Typed::String(text.to_owned());
        for (text, name, value) in [
            ("title=Milk", "title", string("Milk")),
            ("a=", "a", string("")),
            ("a=b=c:=d", "a", string("b=c:=d")),
            ("n:=5", "n", Typed::Int(5)),
            ("l:=[1,\"=\"]", "l", Typed::List(vec![Typed::Int(1), string("=")])),
            ("c:counter=-3", "c", Typed::Counter(-3)),
            ("body:text=Hi: x=y", "body", Typed::Text("Hi: x=y".to_owned())),
            ("\"geo:lat=x\":=1.5", "geo:lat=x", Typed::Float(1.5)),
            ("größe:string=007", "größe", string("007")),
        ] {
            assert_eq!(field(text).unwrap(), (name.to_owned(), value), "{text}");
        }
        for (text, words) in [
            ("title", "is not a field"),
            ("=x", "no field name"),
            ("a:=x", "not JSON"),
            ("a:imt=5", "no column type"),
            ("a:int=x", "not an integer"),
            ("\"a=1", "not a string"),
            ("a:b", "is not a field"),
            ("a:=123456789012345678901", "64 bits"),
        ] {
            let failure = field(text).unwrap_err();
            assert!(failure.message.contains(words), "{text}: {failure}");
        }
    }

    #[test]
    fn conditions_compare_a_path_with_a_value() {
        for (text, path, comparison, value) in [
            ("country=CH", "country", Comparison::Equal, Typed::String("CH".into())),
            ("a.b[0] >= 1000", "a.b[0]", Comparison::AtLeast, Typed::Int(1000)),
            ("done!=true", "done", Comparison::NotEqual, Typed::Bool(true)),
            ("x<5", "x", Comparison::Less, Typed::Int(5)),
            ("x<=-5.5", "x", Comparison::AtMost, Typed::Float(-5.5)),
            ("x>\"5\"", "x", Comparison::Greater, Typed::String("5".into())),
            ("\"a=b\"==null", "\"a=b\"", Comparison::Equal, Typed::Null),
            ("x=", "x", Comparison::Equal, Typed::String(String::new())),
        ] {
            assert_eq!(condition(text).unwrap(), Filter { path: path.parse().unwrap(), comparison, value }, "{text}");
        }
        for text in ["x", "=5", "a..b=5", "x!5", "a[]=5", "\"a=5"] {
            assert!(condition(text).is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_are_ip_and_port_or_multiaddrs() {
        assert_eq!(listen("127.0.0.1:0".into()).unwrap(), "/ip4/127.0.0.1/tcp/0");
        assert_eq!(listen("[::1]:4001".into()).unwrap(), "/ip6/::1/tcp/4001");
        assert_eq!(listen("/ip4/0.0.0.0/udp/1/quic-v1".into()).unwrap(), "/ip4/0.0.0.0/udp/1/quic-v1");
        for text in ["localhost:80", "4001", "", "1.2.3.4"] {
            assert!(listen(text.to_owned()).is_err(), "{text}");
        }
        assert!(multiaddr("--peer", "192.0.2.7:1".into()).unwrap_err().message.contains("--peer"));
    }

    #[test]
    fn an_insertion_names_a_place_in_a_list() {
        assert!(insert_path("a[]").is_ok() && insert_path("a.b[3]").is_ok());
        assert!(insert_path("a").unwrap_err().remedy.unwrap().contains("a[]"));
        assert!(insert_path("a[][0]").unwrap_err().message.contains("only the last"));
    }

    #[test]
    fn what_is_not_json_is_a_string_unless_a_type_is_named() {
        assert_eq!(value("00123", None).unwrap(), Typed::String("00123".into()));
        assert_eq!(value("5", None).unwrap(), Typed::Int(5));
        assert_eq!(value("5", Some("string".into())).unwrap(), Typed::String("5".into()));
        assert_eq!(value("Oat milk", None).unwrap(), Typed::String("Oat milk".into()));
        assert!(value("x", Some("int".into())).is_err());
    }

    #[test]
    fn a_name_can_be_read_aloud() {
        assert!(name("space", "orders/region-5".into()).is_ok());
        for text in ["", " a", "a\n", &"x".repeat(NAME_LIMIT_BYTES + 1)] {
            assert!(name("space", text.to_owned()).is_err(), "{text:?}");
        }
    }
}

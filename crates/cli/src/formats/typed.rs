//! A value as a document holds it, and its two ways into JSON: plain for people, tagged without loss.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use std::fmt;

/// One value of a document.
///
/// Shape: `Serialize` and `Deserialize` are the tagged form, which loses nothing: what JSON lacks is a map with one
/// reserved name (`{"$counter":5}`), and a map of the document's own that looks so is wrapped (`{"$map":{…}}`).
/// Reading refuses a map that holds one name twice.
#[derive(Clone, Debug, PartialEq)]
pub enum Typed {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer above `i64::MAX`.
    Uint(u64),
    /// A finite or infinite number, or NaN.
    Float(f64),
    /// Text that is replaced as a whole.
    String(String),
    /// Text that several people may edit at the same time.
    Text(String),
    /// A number that several people may add to at the same time.
    Counter(i64),
    /// A point in time, milliseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Values in an order.
    List(Vec<Typed>),
    /// Named values, in the order in which they came.
    Map(Vec<(String, Typed)>),
}

/// Named values in an order: the fields of one row.
pub type Fields = Vec<(String, Typed)>;

const COUNTER: &str = "$counter";
const TEXT: &str = "$text";
const TIMESTAMP: &str = "$timestamp";
const BYTES: &str = "$bytes";
const FLOAT: &str = "$float";
const MAP: &str = "$map";

impl Typed {
    /// The word for this kind of value in messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Typed::Null => "null",
            Typed::Bool(_) => "true or false",
            Typed::Int(_) | Typed::Uint(_) => "an integer",
            Typed::Float(_) => "a number",
            Typed::String(_) => "a string",
            Typed::Text(_) => "a text",
            Typed::Counter(_) => "a counter",
            Typed::Timestamp(_) => "a timestamp",
            Typed::Bytes(_) => "bytes",
            Typed::List(_) => "a list",
            Typed::Map(_) => "a map",
        }
    }

    /// The value as plain JSON, for people and other programs. Types that JSON lacks become the nearest it has:
    /// texts are strings, counters numbers, timestamps RFC 3339, bytes base64, and NaN is null.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match self {
            Typed::Null => Value::Null,
            Typed::Bool(value) => Value::Bool(*value),
            Typed::Int(value) | Typed::Counter(value) => Value::from(*value),
            Typed::Uint(value) => Value::from(*value),
            Typed::Float(value) => Value::from(*value),
            Typed::String(value) | Typed::Text(value) => Value::String(value.clone()),
            Typed::Timestamp(ms) => timestamp_text(*ms).map_or_else(|| Value::from(*ms), Value::String),
            Typed::Bytes(bytes) => Value::String(BASE64.encode(bytes)),
            Typed::List(items) => Value::Array(items.iter().map(Typed::to_json).collect()),
            Typed::Map(fields) => {
                Value::Object(fields.iter().map(|(name, value)| (name.clone(), value.to_json())).collect())
            }
        }
    }

    /// The value as tagged JSON. Cost: one copy.
    pub fn to_tagged(&self) -> serde_json::Value {
        use serde_json::Value;
        fn tag(name: &str, value: Value) -> Value {
            Value::Object([(name.to_owned(), value)].into_iter().collect())
        }
        match self {
            Typed::Counter(value) => tag(COUNTER, Value::from(*value)),
            Typed::Text(value) => tag(TEXT, Value::from(value.as_str())),
            Typed::Timestamp(ms) => tag(TIMESTAMP, Value::from(*ms)),
            Typed::Bytes(bytes) => tag(BYTES, Value::String(BASE64.encode(bytes))),
            Typed::Float(value) if !value.is_finite() => tag(FLOAT, Value::String(value.to_string())),
            Typed::List(items) => Value::Array(items.iter().map(Typed::to_tagged).collect()),
            Typed::Map(fields) => {
                let map = Value::Object(fields.iter().map(|(name, value)| (name.clone(), value.to_tagged())).collect());
                if looks_tagged(fields) { tag(MAP, map) } else { map }
            }
            Typed::Null | Typed::Bool(_) | Typed::Int(_) | Typed::Uint(_) | Typed::Float(_) | Typed::String(_) => {
                self.to_json()
            }
        }
    }

    /// Reads tagged JSON that is already in memory.
    ///
    /// Errors: what of it is not a value, for the caller.
    pub fn from_tagged(json: serde_json::Value) -> Result<Self, String> {
        Typed::deserialize(json).map_err(|error| error.to_string())
    }

    /// Reads plain JSON: strings stay strings, also those that look like a timestamp or base64.
    pub fn from_json(json: serde_json::Value) -> Self {
        use serde_json::Value;
        match json {
            Value::Null => Typed::Null,
            Value::Bool(value) => Typed::Bool(value),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(value), _) => Typed::Int(value),
                (None, Some(value)) => Typed::Uint(value),
                (None, None) => Typed::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(value) => Typed::String(value),
            Value::Array(items) => Typed::List(items.into_iter().map(Typed::from_json).collect()),
            Value::Object(map) => {
                Typed::Map(map.into_iter().map(|(name, value)| (name, Typed::from_json(value))).collect())
            }
        }
    }
}

/// RFC 3339 in UTC with milliseconds where there are any; `None` outside the years that it can say.
pub(super) fn timestamp_text(ms: i64) -> Option<String> {
    let time = jiff::Timestamp::from_millisecond(ms).ok()?;
    Some(if ms % 1000 == 0 { format!("{time:.0}") } else { format!("{time:.3}") })
}

fn looks_tagged(fields: &[(String, Typed)]) -> bool {
    matches!(fields, [(name, _)] if is_tag(name))
}

fn is_tag(name: &str) -> bool {
    [COUNTER, TEXT, TIMESTAMP, BYTES, FLOAT, MAP].contains(&name)
}

impl Serialize for Typed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        fn tag<S: Serializer, T: Serialize + ?Sized>(serializer: S, name: &str, value: &T) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(Some(1))?;
            map.serialize_entry(name, value)?;
            map.end()
        }
        match self {
            Typed::Null => serializer.serialize_unit(),
            Typed::Bool(value) => serializer.serialize_bool(*value),
            Typed::Int(value) => serializer.serialize_i64(*value),
            Typed::Uint(value) => serializer.serialize_u64(*value),
            Typed::Float(value) if value.is_finite() => serializer.serialize_f64(*value),
            Typed::Float(value) => tag(serializer, FLOAT, &value.to_string()),
            Typed::String(value) => serializer.serialize_str(value),
            Typed::Text(value) => tag(serializer, TEXT, value),
            Typed::Counter(value) => tag(serializer, COUNTER, value),
            Typed::Timestamp(ms) => tag(serializer, TIMESTAMP, ms),
            Typed::Bytes(bytes) => tag(serializer, BYTES, &BASE64.encode(bytes)),
            Typed::List(items) => serializer.collect_seq(items),
            Typed::Map(fields) if looks_tagged(fields) => tag(serializer, MAP, &Named(fields)),
            Typed::Map(fields) => Named(fields).serialize(serializer),
        }
    }
}

struct Named<'a>(&'a [(String, Typed)]);

impl Serialize for Named<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'de> Deserialize<'de> for Typed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TypedVisitor { tagged: true })
    }
}

/// Plain JSON read straight into [`Typed`], with the check for repeated names; tags mean nothing in it.
pub(super) struct Plain(pub(super) Typed);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TypedVisitor { tagged: false }).map(Plain)
    }
}

#[derive(Clone, Copy)]
struct TypedVisitor {
    tagged: bool,
}

impl<'de> de::DeserializeSeed<'de> for TypedVisitor {
    type Value = Typed;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Typed, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for TypedVisitor {
    type Value = Typed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Typed, E> {
        Ok(Typed::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Typed, E> {
        Ok(Typed::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Typed, E> {
        Ok(Typed::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Typed, E> {
        Ok(i64::try_from(value).map_or(Typed::Uint(value), Typed::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Typed, E> {
        Ok(Typed::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Typed, E> {
        Ok(Typed::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Typed, E> {
        Ok(Typed::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Typed, A::Error> {
        let mut items = Vec::new(); // no size hint: it would be the sender's word
        while let Some(item) = seq.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Typed::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Typed, A::Error> {
        let mut fields = Fields::new();
        while let Some(name) = map.next_key::<String>()? {
            if self.tagged && fields.is_empty() && name == MAP {
                let inner = map.next_value_seed(MapOnly)?;
                if map.next_key::<String>()?.is_some() {
                    return Err(de::Error::custom(format_args!("{MAP} stands alone in its map")));
                }
                return Ok(inner);
            }
            let value = map.next_value_seed(self)?;
            fields.push((name, value));
        }
        if let Some(name) = repeated_name(&fields) {
            return Err(de::Error::custom(format_args!("the name {name:?} stands twice in one map")));
        }
        if self.tagged && looks_tagged(&fields) {
            return untag(fields).map_err(de::Error::custom);
        }
        Ok(Typed::Map(fields))
    }
}

/// The content of `$map`: a map whose names are its own, whatever they look like.
struct MapOnly;

impl<'de> de::DeserializeSeed<'de> for MapOnly {
    type Value = Typed;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Typed, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for MapOnly {
    type Value = Typed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Typed, A::Error> {
        let mut fields = Fields::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(TypedVisitor { tagged: true })?;
            fields.push((name, value));
        }
        match repeated_name(&fields) {
            Some(name) => Err(de::Error::custom(format_args!("the name {name:?} stands twice in one map"))),
            None => Ok(Typed::Map(fields)),
        }
    }
}

/// The first name that stands twice. Cost: quadratic up to 16 names, beyond that one sorted copy of the references.
fn repeated_name(fields: &[(String, Typed)]) -> Option<&str> {
    if fields.len() <= 16 {
        return fields
            .iter()
            .enumerate()
            .find(|(at, (name, _))| fields[..*at].iter().any(|(earlier, _)| earlier == name))
            .map(|(_, (name, _))| name.as_str());
    }
    let mut names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

fn untag(fields: Fields) -> Result<Typed, String> {
    let Some((name, value)) = fields.into_iter().next() else { return Ok(Typed::Map(Vec::new())) };
    let kind = value.kind();
    match (name.as_str(), value) {
        (COUNTER, Typed::Int(value)) => Ok(Typed::Counter(value)),
        (TIMESTAMP, Typed::Int(ms)) => Ok(Typed::Timestamp(ms)),
        (TEXT, Typed::String(value)) => Ok(Typed::Text(value)),
        (BYTES, Typed::String(value)) => {
            BASE64.decode(&value).map(Typed::Bytes).map_err(|error| format!("{BYTES} is not base64: {error}"))
        }
        (FLOAT, Typed::String(value)) => match value.as_str() {
            "NaN" => Ok(Typed::Float(f64::NAN)),
            "inf" => Ok(Typed::Float(f64::INFINITY)),
            "-inf" => Ok(Typed::Float(f64::NEG_INFINITY)),
            _ => Err(format!("{FLOAT} must be \"NaN\", \"inf\" or \"-inf\"")),
        },
        (tag, _) => Err(format!("{tag} cannot hold {kind}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Typed, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn the_tagged_form_loses_nothing() {
        let all = Typed::Map(vec![
            ("null".into(), Typed::Null),
            ("int".into(), Typed::Int(i64::MIN)),
            ("uint".into(), Typed::Uint(u64::MAX)),
            ("float".into(), Typed::Float(38.0)),
            ("inf".into(), Typed::Float(f64::NEG_INFINITY)),
            ("text".into(), Typed::Text("héllo\u{0}".into())),
            ("counter".into(), Typed::Counter(-5)),
            ("time".into(), Typed::Timestamp(1_700_000_000_123)),
            ("bytes".into(), Typed::Bytes(vec![0, 255, 7])),
            ("like a tag".into(), Typed::Map(vec![("$text".into(), Typed::Int(1))])),
            ("like a map".into(), Typed::Map(vec![("$map".into(), Typed::Map(vec![]))])),
            ("two names".into(), Typed::Map(vec![("$text".into(), Typed::Null), ("b".into(), Typed::Bool(true))])),
            ("list".into(), Typed::List(vec![Typed::Counter(1), Typed::List(vec![])])),
        ]);
        let line = serde_json::to_string(&all).unwrap();
        assert_eq!(read(&line).unwrap(), all);
        assert_eq!(serde_json::to_string(&all.to_tagged()).unwrap(), line);
        assert_eq!(Typed::from_tagged(all.to_tagged()).unwrap(), all);
    }

    #[test]
    fn a_name_that_stands_twice_is_refused_at_any_depth() {
        for text in [r#"{"a":1,"a":2}"#, r#"[{"b":{"a":1,"c":2,"a":3}}]"#, r#"{"$map":{"a":1,"a":1}}"#] {
            let error = read(text).unwrap_err();
            assert!(error.contains("\"a\" stands twice"), "{text}: {error}");
        }
        let many: Vec<String> = (0..40).map(|n| format!("\"f{}\":1", n % 39)).collect();
        assert!(read(&format!("{{{}}}", many.join(","))).unwrap_err().contains("\"f0\" stands twice"));
    }

    #[test]
    fn a_wrong_tag_is_refused_with_its_reason() {
        assert!(read(r#"{"$counter":"5"}"#).unwrap_err().contains("$counter cannot hold a string"));
        assert!(read(r#"{"$bytes":"*"}"#).unwrap_err().contains("base64"));
        assert!(read(r#"{"$float":"1.5"}"#).unwrap_err().contains("NaN"));
        assert!(read(r#"{"$map":5}"#).unwrap_err().contains("a map"));
        assert!(read(r#"{"$map":{},"b":1}"#).unwrap_err().contains("alone"));
    }

    #[test]
    fn plain_json_has_no_tags() {
        let plain: Plain = serde_json::from_str(r#"{"$counter":5}"#).unwrap();
        assert_eq!(plain.0, Typed::Map(vec![("$counter".into(), Typed::Int(5))]));
        assert_eq!(Typed::Timestamp(1_700_000_000_000).to_json(), "2023-11-14T22:13:20Z");
        assert_eq!(Typed::Timestamp(1_700_000_000_120).to_json(), "2023-11-14T22:13:20.120Z");
        assert_eq!(Typed::Timestamp(i64::MAX).to_json(), i64::MAX);
        assert_eq!(Typed::Bytes(vec![1, 2]).to_json(), "AQI=");
    }
}

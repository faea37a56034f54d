//! From an app's type to a [`Value`].

use std::collections::BTreeMap;

use farshore_core::value::Value;
use serde::Serialize;
use serde::ser::{self, Error as _, Impossible};

use super::{COUNTER, TEXT, TIMESTAMP, TypeError};

/// Makes one value.
pub(super) struct ToValue;

/// Collects a list, and wraps it in the name of its variant if it has one.
pub(super) struct ListOf {
    variant: Option<&'static str>,
    list: Vec<Value>,
}

/// Collects a map, and wraps it in the name of its variant if it has one.
pub(super) struct MapOf {
    variant: Option<&'static str>,
    map: BTreeMap<String, Value>,
    key: Option<String>,
}

fn in_variant(variant: Option<&'static str>, content: Value) -> Value {
    match variant {
        Some(name) => Value::Map([(name.to_owned(), content)].into()),
        None => content,
    }
}

impl ListOf {
    fn of(length: usize, variant: Option<&'static str>) -> Self {
        ListOf { variant, list: Vec::with_capacity(length) }
    }

    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), TypeError> {
        self.list.push(value.serialize(ToValue)?);
        Ok(())
    }

    fn finish(self) -> Value {
        in_variant(self.variant, Value::List(self.list))
    }
}

impl MapOf {
    fn of(variant: Option<&'static str>) -> Self {
        MapOf { variant, map: BTreeMap::new(), key: None }
    }

    fn put<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), TypeError> {
        let value = value.serialize(ToValue).map_err(|error| TypeError(format!("{key}: {error}")))?;
        self.map.insert(key.to_owned(), value);
        Ok(())
    }

    fn finish(self) -> Value {
        in_variant(self.variant, Value::Map(self.map))
    }
}

fn integer<T: TryInto<i64> + TryInto<u64> + Copy>(value: T) -> Result<Value, TypeError> {
    if let Ok(value) = value.try_into() {
        return Ok(Value::Int(value));
    }
    value.try_into().map(Value::Uint).map_err(|_| TypeError("an integer of more than 64 bits".into()))
}

impl ser::Serializer for ToValue {
    type Ok = Value;
    type Error = TypeError;
    type SerializeSeq = ListOf;
    type SerializeTuple = ListOf;
    type SerializeTupleStruct = ListOf;
    type SerializeTupleVariant = ListOf;
    type SerializeMap = MapOf;
    type SerializeStruct = MapOf;
    type SerializeStructVariant = MapOf;

    fn serialize_bool(self, v: bool) -> Result<Value, TypeError> {
        Ok(Value::Bool(v))
    }

    fn serialize_i8(self, v: i8) -> Result<Value, TypeError> {
        self.serialize_i64(v.into())
    }

    fn serialize_i16(self, v: i16) -> Result<Value, TypeError> {
        self.serialize_i64(v.into())
    }

    fn serialize_i32(self, v: i32) -> Result<Value, TypeError> {
        self.serialize_i64(v.into())
    }

    fn serialize_i64(self, v: i64) -> Result<Value, TypeError> {
        Ok(Value::Int(v))
    }

    fn serialize_i128(self, v: i128) -> Result<Value, TypeError> {
        integer(v)
    }

    fn serialize_u8(self, v: u8) -> Result<Value, TypeError> {
        self.serialize_i64(v.into())
    }

    fn serialize_u16(self, v: u16) -> Result<Value, TypeError> {
        self.serialize_i64(v.into())
    }

    fn serialize_u32(self, v: u32) -> Result<Value, TypeError> {
        self.serialize_i64(v.into())
    }

    fn serialize_u64(self, v: u64) -> Result<Value, TypeError> {
        integer(v)
    }

    fn serialize_u128(self, v: u128) -> Result<Value, TypeError> {
        integer(v)
    }

    fn serialize_f32(self, v: f32) -> Result<Value, TypeError> {
        Ok(Value::Float(v.into()))
    }

    fn serialize_f64(self, v: f64) -> Result<Value, TypeError> {
        Ok(Value::Float(v))
    }

    fn serialize_char(self, v: char) -> Result<Value, TypeError> {
        Ok(Value::Str(v.into()))
    }

    fn serialize_str(self, v: &str) -> Result<Value, TypeError> {
        Ok(Value::Str(v.to_owned()))
    }

    fn serialize_bytes(self, v: &[u8]) -> Result<Value, TypeError> {
        Ok(Value::Bytes(v.to_owned()))
    }

    fn serialize_none(self) -> Result<Value, TypeError> {
        Ok(Value::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, TypeError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Value, TypeError> {
        Ok(Value::Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Value, TypeError> {
        Ok(Value::Null)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<Value, TypeError> {
        Ok(Value::Str(variant.to_owned()))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<Value, TypeError> {
        let value = value.serialize(self)?;
        Ok(match (name, value) {
            (TEXT, Value::Str(text)) => Value::Text(text),
            (COUNTER, Value::Int(number)) => Value::Counter(number),
            (TIMESTAMP, Value::Int(number)) => Value::Timestamp(number),
            (_, value) => value,
        })
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Value, TypeError> {
        Ok(in_variant(Some(variant), value.serialize(self)?))
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<ListOf, TypeError> {
        Ok(ListOf::of(length.unwrap_or(0), None))
    }

    fn serialize_tuple(self, length: usize) -> Result<ListOf, TypeError> {
        Ok(ListOf::of(length, None))
    }

    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<ListOf, TypeError> {
        Ok(ListOf::of(length, None))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<ListOf, TypeError> {
        Ok(ListOf::of(length, Some(variant)))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<MapOf, TypeError> {
        Ok(MapOf::of(None))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<MapOf, TypeError> {
        Ok(MapOf::of(None))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<MapOf, TypeError> {
        Ok(MapOf::of(Some(variant)))
    }
}

impl ser::SerializeSeq for ListOf {
    type Ok = Value;
    type Error = TypeError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), TypeError> {
        self.push(value)
    }

    fn end(self) -> Result<Value, TypeError> {
        Ok(self.finish())
    }
}

impl ser::SerializeTuple for ListOf {
    type Ok = Value;
    type Error = TypeError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), TypeError> {
        self.push(value)
    }

    fn end(self) -> Result<Value, TypeError> {
        Ok(self.finish())
    }
}

impl ser::SerializeTupleStruct for ListOf {
    type Ok = Value;
    type Error = TypeError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), TypeError> {
        self.push(value)
    }

    fn end(self) -> Result<Value, TypeError> {
        Ok(self.finish())
    }
}

impl ser::SerializeTupleVariant for ListOf {
    type Ok = Value;
    type Error = TypeError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), TypeError> {
        self.push(value)
    }

    fn end(self) -> Result<Value, TypeError> {
        Ok(self.finish())
    }
}

impl ser::SerializeMap for MapOf {
    type Ok = Value;
    type Error = TypeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), TypeError> {
        self.key = Some(key.serialize(ToKey)?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), TypeError> {
        let key = self.key.take().ok_or_else(|| TypeError::custom("a map's value came without its key"))?;
        self.put(&key, value)
    }

    fn end(self) -> Result<Value, TypeError> {
        Ok(self.finish())
    }
}

impl ser::SerializeStruct for MapOf {
    type Ok = Value;
    type Error = TypeError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), TypeError> {
        self.put(key, value)
    }

    fn end(self) -> Result<Value, TypeError> {
        Ok(self.finish())
    }
}

impl ser::SerializeStructVariant for MapOf {
    type Ok = Value;
    type Error = TypeError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), TypeError> {
        self.put(key, value)
    }

    fn end(self) -> Result<Value, TypeError> {
        Ok(self.finish())
    }
}

/// Makes a map's key: strings as they are, and what has one obvious spelling.
struct ToKey;

fn no_key<T>() -> Result<T, TypeError> {
    Err(TypeError("a map's key must be a string, an integer, a boolean or a character".into()))
}

/// Declares the scalar kinds that have one obvious spelling as a key.
macro_rules! spelled {
    ($($method:ident: $type:ty),+) => {$(
        fn $method(self, v: $type) -> Result<String, TypeError> {
            Ok(v.to_string())
        }
    )+};
}

impl ser::Serializer for ToKey {
    type Ok = String;
    type Error = TypeError;
    type SerializeSeq = Impossible<String, TypeError>;
    type SerializeTuple = Impossible<String, TypeError>;
    type SerializeTupleStruct = Impossible<String, TypeError>;
    type SerializeTupleVariant = Impossible<String, TypeError>;
    type SerializeMap = Impossible<String, TypeError>;
    type SerializeStruct = Impossible<String, TypeError>;
    type SerializeStructVariant = Impossible<String, TypeError>;

    spelled!(serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_char: char,
        serialize_str: &str);

    fn serialize_f32(self, _: f32) -> Result<String, TypeError> {
        no_key()
    }

    fn serialize_f64(self, _: f64) -> Result<String, TypeError> {
        no_key()
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<String, TypeError> {
        no_key()
    }

    fn serialize_none(self) -> Result<String, TypeError> {
        no_key()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<String, TypeError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<String, TypeError> {
        no_key()
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<String, TypeError> {
        no_key()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<String, TypeError> {
        Ok(variant.to_owned())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<String, TypeError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<String, TypeError> {
        no_key()
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, TypeError> {
        no_key()
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, TypeError> {
        no_key()
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, TypeError> {
        no_key()
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, TypeError> {
        no_key()
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, TypeError> {
        no_key()
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, TypeError> {
        no_key()
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, TypeError> {
        no_key()
    }
}

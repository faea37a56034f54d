//! The example does what it says.

#[path = "../own_loop.rs"]
#[allow(dead_code, unreachable_pub)]
mod own_loop;

use farshore_core::value::Value;

#[test]
fn two_replicas_driven_by_hand_share_a_document() {
    let value = own_loop::run().unwrap();
    assert_eq!(value.get("title"), Some(&Value::Str("Milk".into())));
}

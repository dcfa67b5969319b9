//! Lets the addon leave Node's own symbols to whoever loads it.

fn main() {
    napi_build::setup();
}

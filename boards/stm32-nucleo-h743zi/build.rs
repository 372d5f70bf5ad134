//! `memory.x` for the linker, and the models that the board has room for.

fn main() {
    plan::build_script();
}

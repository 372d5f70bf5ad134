//! The linker's arguments, and the models that the board has room for.

fn main() {
    board_build::build_script();
}

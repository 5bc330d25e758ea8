//! The binary: arguments in, an exit code out. Everything else is in the library.

use std::process::ExitCode;

use quarterdeck::shell::cli;

fn main() -> ExitCode {
    match cli::Arguments::read().map_or_else(Ok, cli::main) {
        Ok(code) => code,
        Err(report) => {
            eprintln!("{}", quarterdeck::shell::sanitised(&report));
            ExitCode::from(70)
        }
    }
}

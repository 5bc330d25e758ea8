//! `quarterdeck man`: the manual page, in roff, to standard output.

use std::process::ExitCode;

use color_eyre::eyre::{Result, WrapErr};

use super::{definition, put};

/// What the command line cannot tell of itself.
const MORE: &str = r#".SH "EXIT STATUS"
.TP
0, 1, 2, 3
Reports: all well; poor; bad; unknown or not seen for too long. The same for \fBstatus \-\-check\fR and \fBwatch\fR.
.TP
64
The call is wrong, or there is no terminal to open the console on.
.TP
69
The engine cannot be reached.
.TP
70
A fault of quarterdeck itself.
.TP
73
The file cannot be created, or is there already.
.TP
77
Not permitted.
.TP
78
The configuration has problems; each is named with its place.
.TP
130, 143
Ended by an interrupt or by a request to end.
.SH FILES
.TP
\fIquarterdeck.toml\fR
The configuration: the one named with \fB\-\-config\fR or QUARTERDECK_CONFIG, else the first that is there of
\fI./quarterdeck.toml\fR, \fI$XDG_CONFIG_HOME/quarterdeck/quarterdeck.toml\fR and \fI/etc/quarterdeck/quarterdeck.toml\fR.
.TP
\fI$XDG_CONFIG_HOME/quarterdeck/themes\fR
Themes, one file each.
.TP
\fI$XDG_STATE_HOME/quarterdeck/log/quarterdeck.log\fR
The log of the console.
.SH ENVIRONMENT
QUARTERDECK_CONFIG, QUARTERDECK_THEME, QUARTERDECK_ASCII, QUARTERDECK_LOG, NO_COLOR, DOCKER_HOST, DOCKER_CERT_PATH,
DOCKER_TLS_VERIFY.
"#;

pub(super) fn run() -> Result<ExitCode> {
    let mut page = Vec::new();
    clap_mangen::Man::new(definition())
        .render(&mut page)
        .wrap_err("cannot write the manual page")?;
    put(&format!("{}{MORE}", String::from_utf8_lossy(&page)))?;
    Ok(ExitCode::SUCCESS)
}

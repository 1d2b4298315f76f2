//! A vital thread's panic ends the process, which only another process can see.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use dbproxy_io::vital;

/// Set in the process that is to end.
const MARK: &str = "DBPROXY_TEST_PANICS";
const SIGABRT: i32 = 6;

/// Does nothing but where the other test starts it.
#[test]
fn panicking() {
    if std::env::var_os(MARK).is_some() {
        let thread = vital("worker-7".into(), || panic!("on purpose"));
        thread.expect("a thread").join().ok();
    }
}

#[test]
fn a_vital_thread_that_panics_ends_the_process_and_says_so() {
    let this = std::env::current_exe().expect("this program");
    let mut command = Command::new(this);
    command.args(["--exact", "panicking", "--nocapture"]);
    let ended = command.env(MARK, "1").output().expect("it ran");
    let told = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.signal(), Some(SIGABRT), "{told}");
    assert!(told.contains("on purpose"), "{told}");
    assert!(told.contains("worker-7"), "{told}");
}

#[test]
fn a_vital_thread_may_end() {
    let thread = vital("worker-8".into(), || ()).expect("a thread");
    assert!(thread.join().is_ok());
}

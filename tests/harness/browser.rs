//! A browser that opens pages without showing them.
use std::path::Path;
use std::process::Command;

/// Names it goes by.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

fn installed() -> Option<&'static str> {
    let runs = |name: &&str| Command::new(name).arg("--version").output().is_ok_and(|o| o.status.success());
    NAMES.into_iter().find(runs)
}

/// Why no page can be opened here.
pub(crate) fn missing() -> Option<&'static str> {
    installed().is_none().then_some("no chromium installed")
}

/// The page at `path` as the browser has it after its scripts, in a window of this width; `dir` is for its own files.
pub(crate) fn opened(path: &Path, width: u32, dir: &Path) -> String {
    let output = Command::new(installed().unwrap())
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--dump-dom"])
        .arg(format!("--window-size={width},900"))
        .arg(format!("--user-data-dir={}", dir.join("profile").display()))
        .arg(format!("file://{}", path.display()))
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

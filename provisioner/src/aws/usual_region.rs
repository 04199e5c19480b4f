//! Where AWS's own tools would work.

use aws_config::{meta::region::ProvideRegion, profile::ProfileFileRegionProvider};

/// What the environment says, then the profile: this one, or else that of the environment.
pub async fn usual_region(profile: Option<&str>) -> Option<String> {
    let said = |key: &str| std::env::var(key).ok().filter(|it| !it.is_empty());
    if let Some(it) = said("AWS_REGION").or_else(|| said("AWS_DEFAULT_REGION")) {
        return Some(it);
    }
    let mut files = ProfileFileRegionProvider::builder();
    if let Some(name) = profile {
        files = files.profile_name(name);
    }
    files.build().region().await.map(|it| it.to_string())
}

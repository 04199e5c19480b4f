//! Apache's site: PHP through php-fpm, the readiness file, and what must never be served.

use std::time::Duration;

use anyhow::Context;

use crate::{
    converge::Step,
    host::{Host, ROOT},
    os::Os,
    steps::{php::digest, ready},
};

pub struct Apache {
    pub os: &'static Os,
}

/// Our configuration for a PHP that listens on this socket, and the path at which Apache proves that it runs with it.
pub fn site(socket: &str) -> (String, String) {
    let body = format!(
        r#"# Written by lampd; a change here is undone within a minute.
# Also where no other site is switched on.
DocumentRoot "/var/www/html"
ServerTokens Prod
ServerSignature Off
TraceEnable Off

# A thousand clients at once wait here instead of being refused. (The lab's load test.)
ListenBacklog 4096
<IfModule mpm_event_module>
    # All threads from the start: made one process a second, they would keep a crowd waiting, and the balancer in it.
    # 64 is what a process may have at most without a restart. (ThreadLimit.)
    StartServers 4
    ThreadsPerChild 64
    MaxRequestWorkers 256
    MinSpareThreads 64
    MaxSpareThreads 256
    MaxConnectionsPerChild 0
</IfModule>
# Only where somebody switched to it: each worker could hold a database connection.
<IfModule mpm_prefork_module>
    MaxRequestWorkers 16
</IfModule>

<FilesMatch "\.php$">
    SetHandler "proxy:unix:{socket}|fcgi://localhost"
</FilesMatch>
# Of a process' 64 threads. Where PHP waits for a database that is silent, the others go on answering the balancer; who
# comes then is refused after a quarter of a second, so a thousand in front of the balancer's question take it 3.5 s.
<Proxy "fcgi://localhost">
    ProxySet max=46 acquire=250
</Proxy>

<Directory "/var/www/html">
    # A link leads only to what its maker owns: never to root's dbinfo.inc, not even a link on the shared files.
    Options SymLinksIfOwnerMatch
    AllowOverride None
    Require all granted
    # Here, since outside it would only be added to the distribution's own list.
    DirectoryIndex index.php index.html
</Directory>
# dbinfo.inc lies elsewhere; an include that somebody leaves among the pages stays unreadable as well.
<FilesMatch "(?i)(^\.|\.inc([^a-z0-9]|$)|\.(bak|old|orig|save|swp|sql)$|~$)">
    Require all denied
</FilesMatch>
<DirectoryMatch "/\.(?!well-known)">
    Require all denied
</DirectoryMatch>
<Directory "/etc/lamp">
    Require all denied
</Directory>

# The balancer's question: the file is there only while the agent finds this host in order.
Alias "/lamp-ready" "{ready}"
<Directory "/run/lamp">
    Options None
    AllowOverride None
    Require all denied
    <FilesMatch "^(lamp-ready|alive)$">
        Require all granted
    </FilesMatch>
</Directory>
"#,
        ready = ready::FILE,
    );
    let proof = format!("/lamp-site-{}", digest([&body]));
    let text = format!(
        "{body}# The agent asks for this to see which configuration Apache runs with.\nAlias \"{proof}\" \"{}\"\n",
        ready::ALIVE
    );
    (text, proof)
}

impl Apache {
    fn missing_modules(&self, host: &Host) -> Vec<&'static str> {
        let Some(modules) = &self.os.apache.modules else { return Vec::new() };
        let there = host.list(modules.folder).unwrap_or_default();
        let is_on = |it: &&str| there.iter().any(|file| file.strip_suffix(".load") == Some(*it));
        let mut missing: Vec<_> = modules.names.iter().copied().filter(|it| !is_on(it)).collect();
        // Any way of running will do, and without one Apache does not start.
        if !there.iter().any(|it| it.starts_with("mpm_") && it.ends_with(".load")) {
            missing.push(modules.mpm);
        }
        missing
    }
}

impl Step for Apache {
    const NAME: &'static str = "apache";

    async fn check(&self, host: &Host) -> anyhow::Result<Option<String>> {
        let missing = self.missing_modules(host);
        if !missing.is_empty() {
            return Ok(Some(format!("modules are off: {}", missing.join(", "))));
        }
        let (text, _) = site(&self.os.php(host)?.socket);
        host.differs(self.os.apache.site, text.as_bytes(), 0o644, ROOT)
    }

    async fn apply(&self, host: &Host) -> anyhow::Result<()> {
        let apache = &self.os.apache;
        let missing = self.missing_modules(host);
        if let (Some(modules), false) = (&apache.modules, missing.is_empty()) {
            host.run(&[modules.enable, &missing].concat(), Duration::from_secs(20)).await?;
        }
        let (text, _) = site(&self.os.php(host)?.socket);
        let before = host.read_bytes(apache.site)?;
        host.write(apache.site, text.as_bytes(), 0o644, Some(ROOT))?;
        let Err(err) = host.run(apache.test, Duration::from_secs(20)).await else { return Ok(()) };
        // A configuration that Apache refuses must not stay: its next restart would fail.
        match before {
            Some(bytes) => host.write(apache.site, &bytes, 0o644, Some(ROOT))?,
            None => host.remove(apache.site)?,
        }
        Err(err).context("Apache refuses the configuration, so the former one is back")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        converge::{Log, run},
        host::{Output, script::scripted},
    };

    fn machine() -> (Host, std::sync::Arc<crate::host::script::Script>, Apache) {
        let (host, script) = scripted();
        host.write("/etc/os-release", b"ID=amzn\n", 0o644, None).unwrap();
        let os = crate::os::detect(&host).unwrap();
        (host, script, Apache { os })
    }

    #[tokio::test]
    async fn the_configuration_is_tested_before_it_counts() {
        let (host, script, step) = machine();
        assert!(run(&host, &Log::default(), &step).await);
        assert_eq!(script.log(), ["httpd -t"]);
        assert!(run(&host, &Log::default(), &step).await);
        assert_eq!(script.log(), Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_configuration_that_apache_refuses_does_not_stay() {
        let (host, script, step) = machine();
        host.write(step.os.apache.site, b"former", 0o644, None).unwrap();
        script.on(|_, _| Output { code: 1, stderr: "Syntax error".into(), ..Output::default() });
        assert!(!run(&host, &Log::default(), &step).await);
        assert_eq!(host.read(step.os.apache.site).unwrap().as_deref(), Some("former"));
    }
}

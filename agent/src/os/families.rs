//! One table of facts for each family of distributions.

use super::{ANEW, Apache, Damage, Heal, LocalDatabase, Modules, Os, Packages, PhpPlace};

/// Where its facts are from:
/// packages and their names, the group `apache`, `ec2-user`: the AL2023 user guide's LAMP tutorial and its list of
/// packages (PHP and MariaDB carry their version in the name, and lie at the usual places); `/run/php-fpm/www.sock`,
/// `/etc/php.d`, `/etc/php-fpm.d`: Fedora's php-fpm, which it is built from; `amazon-efs-utils`: the EFS user guide.
/// SELinux is permissive there unless somebody changes it (the user guide's chapter on it): under an enforcing one,
/// `httpd_can_network_connect_db` and `httpd_use_nfs` have to be on.
pub(super) static AMAZON: Os = Os {
    name: "Amazon Linux 2023",
    ids: &["amzn"],
    packages: Packages {
        // Without weak dependencies nothing brings opcache along.
        base: &[
            "httpd",
            "php8.4",
            "php8.4-fpm",
            "php8.4-mysqlnd",
            "php8.4-opcache",
            "mariadb1011-client-utils",
        ],
        efs: &["amazon-efs-utils"],
        nfs: &["nfs-utils"],
        stamps: &["/var/lib/rpm/rpmdb.sqlite", "/var/lib/rpm/rpmdb.sqlite-wal"],
        query: &["rpm", "-q", "--qf", "%{NAME} installed %{VERSION}\\n"],
        heal: None,
        lock: None,
        lists: None,
        refresh: &["dnf", "-q", "makecache"],
        install: &["dnf", "-y", "-q", "--setopt=install_weak_deps=False", "install"],
        damage: Damage {
            verify: &["sh", "-c", "rpm -V -a | grep -E '^(..5|missing +c )'"],
            owner: &["rpm", "-q", "--qf", "%{NAME}:\\n", "-f"],
            fetch: None,
            reinstall: &["dnf", "-y", "-q", "reinstall"],
        },
    },
    web_user: "apache",
    login_users: &["ec2-user"],
    apache: Apache {
        unit: "httpd.service",
        site: "/etc/httpd/conf.d/zz-lamp.conf",
        modules: None,
        test: &["httpd", "-t"],
    },
    php: PhpPlace::Fixed {
        ini: "/etc/php.d",
        pool: "/etc/php-fpm.d",
        socket: "/run/php-fpm/www.sock",
        unit: "php-fpm.service",
    },
    mysqli: None,
    local_database: LocalDatabase {
        packages: &["mariadb1011-server"],
        // Read after the package's own.
        bind: Some("/etc/my.cnf.d/zz-lamp.cnf"),
        unit: "mariadb.service",
        socket: "/var/lib/mysql/mysql.sock",
    },
};

/// Installs PHP's modules when all packages are fetched and before apt itself installs anything. They are switched on for
/// each way of running PHP that is there: a module by its own script, and once more by that of each way that comes later,
/// some four thousand processes more to the same end. What is not done here, for whatever reason, apt does.
///
/// ucf starts debconf for each of PHP's 25 settings files, although none of these packages asks anything: a fifth of their
/// installation. It does not where one runs already.
const MODULES_FIRST: &str = "DPkg::Pre-Install-Pkgs::=\
    awk -F/ '$NF ~ /^(psmisc|php-common|php[0-9.]+-.*)_/ && $NF !~ /-(cgi|cli|fpm|phpdbg)_/' | \
    env DEBIAN_HAS_FRONTEND=1 UCF_FORCE_CONFFOLD=1 \
    xargs -r dpkg --force-confold --force-unsafe-io --install || true";

pub(super) static DEBIAN: Os = Os {
    name: "Debian or Ubuntu",
    ids: &["debian", "ubuntu"],
    packages: Packages {
        base: &["apache2", "php-fpm", "php-mysql", "mariadb-client"],
        // amazon-efs-utils is in neither distribution: whoever wants TLS brings the package along in the image.
        efs: &[],
        nfs: &["nfs-common"],
        stamps: &["/var/lib/dpkg/status"],
        query: &["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status} ${Version}\\n"],
        heal: Some(Heal {
            complete: &["env", "SYSTEMD_OFFLINE=1", "dpkg", "--configure", "-a", "--force-confold"],
            fetch: &[
                "env",
                "SYSTEMD_OFFLINE=1",
                "apt-get",
                "-q",
                "-y",
                "-o",
                "DPkg::Lock::Timeout=120",
                "-o",
                "Dpkg::Options::=--force-confold",
                "--fix-broken",
                "--no-remove",
                "install",
            ],
        }),
        lock: Some("/var/lib/dpkg/lock-frontend"),
        lists: Some("/var/lib/apt/lists"),
        refresh: &[
            "apt-get",
            "-q",
            "-o",
            "DPkg::Lock::Timeout=120",
            "-o",
            "Acquire::Retries=2",
            // A third longer than with xz, and read in half the time.
            "-o",
            "Acquire::CompressionTypes::Order::=gz",
            // Descriptions are for people, and come with the next refresh that is not ours.
            "-o",
            "Acquire::Languages=none",
            "update",
        ],
        install: &[
            // Packages start nothing: each would start, reload and restart with the distribution's settings what runs
            // with ours a moment later.
            "env",
            "SYSTEMD_OFFLINE=1",
            // What each of the scripts' thousands of programs reads of any other locale takes a quarter of its time.
            "LC_ALL=C",
            "apt-get",
            "-q",
            "-y",
            "--no-install-recommends",
            // Another process may hold the lock: an unattended upgrade at first boot does.
            "-o",
            "DPkg::Lock::Timeout=120",
            "-o",
            "Acquire::Retries=2",
            "-o",
            "Dpkg::Options::=--force-confold",
            // Synced once, when everything is unpacked.
            "-o",
            "Dpkg::Options::=--force-unsafe-io",
            "-o",
            MODULES_FIRST,
            // Those need no second time.
            "-o",
            "Dpkg::Options::=--skip-same-version",
            "install",
        ],
        damage: Damage {
            verify: &["sh", "-c", "dpkg --verify | grep -E '^(..5|missing +c )'"],
            owner: &["dpkg", "--search"],
            fetch: Some(&["env", "--chdir", ANEW, "apt-get", "-q", "download"]),
            reinstall: &[
                "env",
                "SYSTEMD_OFFLINE=1",
                // Some packages look after their configuration by themselves: it comes back as well.
                "UCF_FORCE_CONFFMISS=1",
                "dpkg",
                // An empty configuration file is removed before.
                "--force-confold,confmiss",
                "--install",
            ],
        },
    },
    web_user: "www-data",
    login_users: &["ec2-user", "admin", "ubuntu"],
    apache: Apache {
        unit: "apache2.service",
        site: "/etc/apache2/conf-enabled/zz-lamp.conf",
        modules: Some(Modules {
            folder: "/etc/apache2/mods-enabled",
            enable: &["a2enmod", "-q"],
            names: &["proxy", "proxy_fcgi", "setenvif", "alias", "dir", "mime", "authz_core", "authz_host"],
            mpm: "mpm_event",
        }),
        test: &["apache2ctl", "configtest"],
    },
    php: PhpPlace::Versioned { root: "/etc/php" },
    mysqli: Some(&["phpenmod", "mysqli"]),
    local_database: LocalDatabase {
        packages: &["mariadb-server"],
        bind: None,
        unit: "mariadb.service",
        socket: "/run/mysqld/mysqld.sock",
    },
};

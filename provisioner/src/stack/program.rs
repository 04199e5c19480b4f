//! Whether the agent's program starts on the hosts of an image, as far as its file can tell.

use std::{fs::File, path::Path};

use anyhow::bail;
use object::{
    Endianness,
    elf::{EM_AARCH64, EM_X86_64, FileHeader64},
    read::{ReadCache, ReadRef, elf::FileHeader},
};

/// What an image's name contains, the system in it, and the C library of that: <https://docs.aws.amazon.com/linux/al2023/ug/core-glibc.html>,
/// <https://packages.debian.org/libc6>, <https://packages.ubuntu.com/libc6>.
const SYSTEMS: [(&str, &str, Version); 7] = [
    ("/al2023-", "Amazon Linux 2023", Version(2, 34)),
    ("/debian/release/12/", "Debian 12", Version(2, 36)),
    ("/debian/release/bookworm/", "Debian 12", Version(2, 36)),
    ("/debian/release/13/", "Debian 13", Version(2, 41)),
    ("/debian/release/trixie/", "Debian 13", Version(2, 41)),
    ("/ubuntu/server/22.04/", "Ubuntu 22.04", Version(2, 35)),
    ("/ubuntu/server/24.04/", "Ubuntu 24.04", Version(2, 39)),
];

/// The first C library with relocations in the form that linkers mark by this name, <https://sourceware.org/glibc/wiki/Release/2.36>.
const RELATIVE_RELOCATIONS: (&str, Version) = ("GLIBC_ABI_DT_RELR", Version(2, 36));

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u32, u32);

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// Looks into a program for what the image's hosts lack. Only the name of an image tells what it has, so where that
/// says nothing, nothing is refused; the same goes for what is no program of Linux, such as a script.
///
/// # Errors
/// The file cannot be opened; what the hosts lack, and how to build a program for them.
pub(super) fn starts_on(file: &Path, image: &str) -> anyhow::Result<()> {
    let program = &ReadCache::new(File::open(file)?);
    let Ok(header) = FileHeader64::<Endianness>::parse(program) else { return Ok(()) };
    let Ok(endian) = header.endian() else { return Ok(()) };
    let built_for = match header.e_machine(endian) {
        EM_X86_64 => "x86_64",
        EM_AARCH64 => "arm64",
        _ => "another processor",
    };
    let names = [("x86_64", "x86_64"), ("amd64", "x86_64"), ("arm64", "arm64")];
    if let Some((_, host)) = names.into_iter().find(|it| image.ends_with(it.0))
        && host != built_for
    {
        bail!(
            "it is built for {built_for}, but hosts.image is for {host}: build it there, or take an image for {built_for}"
        );
    }
    let newest = needed(header, endian, program).unwrap_or_default().into_iter().max();
    let system = SYSTEMS.into_iter().find(|it| image.contains(it.0));
    if let (Some(newest), Some((_, name, has))) = (newest, system)
        && newest > has
    {
        bail!(
            "it needs glibc {newest}, but the hosts' {name} has {has} and could not start it: \
             build it with scripts/build-lampd on Debian 12"
        );
    }
    Ok(())
}

/// The versions of the C library whose symbols it asks for.
fn needed<'a>(
    header: &FileHeader64<Endianness>,
    endian: Endianness,
    program: impl ReadRef<'a>,
) -> object::Result<Vec<Version>> {
    let sections = header.sections(endian, program)?;
    let mut all = Vec::new();
    let Some((mut files, names)) = sections.gnu_verneed(endian, program)? else { return Ok(all) };
    let names = sections.strings(endian, program, names)?;
    while let Some((_, mut versions)) = files.next()? {
        while let Some(it) = versions.next()? {
            all.extend(std::str::from_utf8(it.name(endian, names)?).ok().and_then(version));
        }
    }
    Ok(all)
}

fn version(name: &str) -> Option<Version> {
    if name == RELATIVE_RELOCATIONS.0 {
        return Some(RELATIVE_RELOCATIONS.1);
    }
    let mut numbers = name.strip_prefix("GLIBC_")?.split('.').map(|it| it.parse().ok());
    Some(Version(numbers.next()??, numbers.next()??))
}

#!/bin/bash
# First boot of a host: fetch the agent, verify it, install it. The agent does everything else.
# No secret is in here: whoever may describe the instance can read this text.
set -Eeuo pipefail
umask 022

stack='@STACK@'
region='@REGION@'
bucket='@BUCKET@'
sha256='@SHA256@'
endpoint='@ENDPOINT@' # empty: AWS itself
ca='@CA@'             # certificates to trust at that endpoint; empty: the system's

program=/usr/local/bin/lampd
bundle=/etc/lamp/ca.pem
metadata=${AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://169.254.169.254}
patience=900 # seconds: routes, the role and the bucket may become ready after the host

# The console log is what an operator without a way into the host can read.
say() {
  echo "lamp: $*" >&2
  { echo "lamp: $*" >/dev/console; } 2>/dev/null || true
}

fail() {
  trap - ERR
  say "FAILED: $*"
  exit 1
}
trap 'fail "line $LINENO: $BASH_COMMAND"' ERR

sum_of() { sha256sum "$1" | cut -d ' ' -f 1; }

# Answers of the metadata service, version 2.
ask() { curl -sSf -m 5 -H "X-aws-ec2-metadata-token: $1" "$metadata/latest/meta-data/iam/security-credentials/$2"; }
part() { sed -n "s/.*\"$1\" *: *\"\([^\"]*\)\".*/\1/p" <<<"$2"; }

with_aws() {
  local at=()
  [ -z "$endpoint" ] || at=(--endpoint-url "$endpoint")
  # Prints what went wrong, and nothing of what went well.
  { aws s3api get-object --region "$region" "${at[@]}" --bucket "$bucket" --key "$sha256/lampd" "$1" >/dev/null; } 2>&1
}

with_curl() {
  local token role answer url trust=()
  token=$(curl -sSf -m 5 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 300' "$metadata/latest/api/token" 2>&1) || { echo "$token"; return 1; }
  role=$(ask "$token" '' 2>&1) || { echo "$role"; return 1; }
  answer=$(ask "$token" "$role" 2>&1) || { echo "asking for the credentials of $role failed"; return 1; }
  url=https://$bucket.s3.$region.amazonaws.com/$sha256/lampd
  [ -z "$endpoint" ] || url=${endpoint%/}/$bucket/$sha256/lampd
  [ -z "$ca" ] || trust=(--cacert "$bundle")
  # By way of standard input: arguments can be seen by every process. The sum is that of no content.
  curl -sSf --connect-timeout 5 -m 300 --aws-sigv4 "aws:amz:$region:s3" "${trust[@]}" -o "$1" --config - "$url" 2>&1 <<END
user = "$(part AccessKeyId "$answer"):$(part SecretAccessKey "$answer")"
header = "x-amz-security-token: $(part Token "$answer")"
header = "x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
END
}

# Whether curl signs the headers of Amazon's: older ones, such as Ubuntu 22.04's, leave them out.
signs() {
  local version
  version=$(curl --version | sed -n '1s/^curl \([0-9.]*\).*/\1/p')
  printf '%s\n' 7.86 "$version" | sort -V -C
}

get() {
  { apt-get -q -o DPkg::Lock::Timeout=120 update && DEBIAN_FRONTEND=noninteractive apt-get -qy -o DPkg::Lock::Timeout=120 install "$@"; } 2>&1
}

fetch() {
  if command -v aws >/dev/null; then with_aws "$1"; else with_curl "$1"; fi
}

# Does something until it succeeds. Says each reason why it does not once: the console is short.
patiently() {
  local what=$1 why said='' until=$((SECONDS + patience))
  shift
  say "$what"
  until why=$("$@"); do
    why=$(tail -n 1 <<<"$why")
    [ "$SECONDS" -lt "$until" ] || fail "$what for $patience seconds: $why"
    [ "$why" = "$said" ] || say "not yet: $why"
    said=$why
    sleep 3
  done
}

if [ -n "$ca" ]; then
  install -d -m 0755 "${bundle%/*}"
  printf '%s\n' "$ca" >"$bundle"
  export AWS_CA_BUNDLE=$bundle
fi

if [ -x "$program" ] && [ "$(sum_of "$program")" = "$sha256" ]; then
  say "lampd ${sha256:0:12} is part of the image"
else
  if ! command -v aws >/dev/null && ! command -v curl >/dev/null; then
    patiently "installing curl" get curl ca-certificates
  fi
  if ! command -v aws >/dev/null && ! signs; then
    patiently "installing awscli, since curl is older than 7.86 and cannot sign what S3 asks for" get awscli
  fi
  source=s3://$bucket/$sha256/lampd
  new=$(mktemp "$program.XXXXXX")
  trap 'rm -f "$new"' EXIT
  patiently "fetching $source" fetch "$new"
  is=$(sum_of "$new")
  [ "$is" = "$sha256" ] || fail "$source has the SHA-256 sum $is instead of $sha256: somebody changed it; nothing was installed"
  chmod 0755 "$new"
  mv -f "$new" "$program"
  say "lampd ${sha256:0:12} is installed"
fi

arguments=(install --region "$region" --stack "$stack")
[ -z "$endpoint" ] || arguments+=(--endpoint "$endpoint")
[ -z "$ca" ] || arguments+=(--ca-bundle "$bundle")
"$program" "${arguments[@]}" || fail "lampd ${arguments[*]} ended with $?"
say "lampd is set up"

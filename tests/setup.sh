#!/bin/sh
# What the tests need beyond Python packages: Debian packages, npm packages, the corpus of real
# mails. Does nothing when all is there; says what is missing when it may not install it.
set -eu
cd "$(dirname "$0")/.."

missing=""
for package in $(grep -v '^#' tests/debian-packages.txt); do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $package"
done

if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ]; then
        as_root=""
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        as_root="sudo -n"
    else
        echo "These Debian packages are missing and this user may not install them:$missing" >&2
        echo "Run as root: apt-get install --no-install-recommends$missing" >&2
        exit 1
    fi
    echo "Installing Debian packages for the tests:$missing"
    # The tests start their own private servers; Debian's must not start theirs (policy-rc.d(8)).
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
        $as_root chmod 755 "$policy"
        trap '$as_root rm -f "$policy"' EXIT
    fi
    # postfix asks whom it serves; "no configuration" lets the tests bring their own.
    echo "postfix postfix/main_mailer_type select No configuration" | $as_root debconf-set-selections
    $as_root apt-get -qq update
    # shellcheck disable=SC2086 (a list of words)
    DEBIAN_FRONTEND=noninteractive $as_root apt-get -qq install -y --no-install-recommends $missing
fi

if [ -f tests/node/package.json ] && ! (cd tests/node && npm ls >/dev/null 2>&1); then
    (cd tests/node && npm ci --no-audit --no-fund)
fi

if [ -f tests/corpus/fetch.py ]; then
    .venv/bin/python -m tests.corpus.fetch
fi

#!/bin/sh
# Installs a built binary with the names of Kafka's tools, manual pages, completions and the systemd unit.
#   packaging/install.sh BINARY [PREFIX]      PREFIX /usr/local unless given; DESTDIR before it for packages
set -eu
binary=${1:?give the path of the onelog binary}
prefix=${2:-/usr/local}
here=$(dirname "$0")
root=${DESTDIR:-}$prefix
install -D -m 0755 "$binary" "$root/bin/onelog"
for tool in $("$binary" tool --names); do ln -sf onelog "$root/bin/$tool"; done
"$binary" man "$root/share/man/man1"
mkdir -p "$root/share/bash-completion/completions" "$root/share/zsh/site-functions" "$root/share/fish/vendor_completions.d"
for name in onelog $("$binary" tool --names); do
    "$binary" completions bash "$name" >"$root/share/bash-completion/completions/$name"
    "$binary" completions zsh "$name" >"$root/share/zsh/site-functions/_$name"
    "$binary" completions fish "$name" >"$root/share/fish/vendor_completions.d/$name.fish"
done
mkdir -p "$root/lib/systemd/system"
sed "s|/usr/bin/onelog|$prefix/bin/onelog|" "$here/systemd/onelog.service" >"$root/lib/systemd/system/onelog.service"

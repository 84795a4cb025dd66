#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Keys for the tests of TLS, made with certtool(1) below a folder: one folder per role, each as --tls-dir wants it.
set -eu
umask 077
cd "$1"

# ca NAME
ca() {
    certtool --generate-privkey --key-type ecdsa --outfile "$1.key" 2>/dev/null
    printf 'cn = "%s"\nca\ncert_signing_key\ncrl_signing_key\nexpiration_days = 2\n' "$1" >"$1.cfg"
    certtool --generate-self-signed --load-privkey "$1.key" --template "$1.cfg" --outfile "$1.pem" 2>/dev/null
}

# host FOLDER CA LINE...: the lines go into the certificate's template. TRUST: the CA that it trusts (CA).
host() {
    dir=$1 signer=$2
    shift 2
    mkdir "$dir"
    certtool --generate-privkey --key-type ecdsa --outfile "$dir/key.pem" 2>/dev/null
    printf '%s\n' "cn = \"$dir\"" signing_key "$@" >"$dir/template"
    certtool --generate-certificate --load-privkey "$dir/key.pem" --load-ca-certificate "$signer.pem" \
        --load-ca-privkey "$signer.key" --template "$dir/template" --outfile "$dir/cert.pem" 2>/dev/null
    cp "${TRUST:-$signer}.pem" "$dir/ca.pem"
}

both='tls_www_server
tls_www_client'
now='expiration_days = 2'
past='activation_date = "2020-01-01 00:00:00 UTC"
expiration_date = "2020-02-01 00:00:00 UTC"'
local_names='dns_name = "localhost"
dns_name = "south.example"
ip_address = "127.0.0.1"'

ca home
ca stranger
host south home "$both" "$now" "$local_names"
host north home "$both" "$now" 'dns_name = "north.example"'
host old home "$both" "$past" "$local_names"
host elsewhere home "$both" "$now" 'dns_name = "elsewhere.example"'
host server-only home tls_www_server "$now" 'dns_name = "north.example"'
TRUST=home host foreign stranger "$both" "$now" "$local_names"

# One that was taken back.
host revoked home "$both" "$now" 'dns_name = "revoked.example"'
printf 'crl_next_update = 2\n' >crl.cfg
certtool --generate-crl --load-ca-privkey home.key --load-ca-certificate home.pem --load-certificate \
    revoked/cert.pem --template crl.cfg --outfile crl.pem 2>/dev/null
host with-crl home "$both" "$now" "$local_names"
cp crl.pem with-crl/

# Lists that say nothing: one of last year, and one of another CA.
printf 'crl_this_update_date = "2020-01-01 00:00:00 UTC"\ncrl_next_update_date = "2020-02-01 00:00:00 UTC"\n' >old-crl.cfg
host old-crl home "$both" "$now" "$local_names"
certtool --generate-crl --load-ca-privkey home.key --load-ca-certificate home.pem --load-certificate \
    revoked/cert.pem --template old-crl.cfg --outfile old-crl/crl.pem 2>/dev/null
host other-crl home "$both" "$now" "$local_names"
certtool --generate-crl --load-ca-privkey stranger.key --load-ca-certificate stranger.pem --load-certificate \
    revoked/cert.pem --template crl.cfg --outfile other-crl/crl.pem 2>/dev/null

host choosy home "$both" "$now" "$local_names"
printf '# the only one\nnorth.example\n' >choosy/peers

mkdir psk other-psk other-name
printf 'north:%s\n' 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f >psk/psk
printf 'north:%s\n' ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f >other-psk/psk
printf 'east:%s\n' 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f >other-name/psk
mkdir short-psk open-psk empty
printf 'north:0001020304\n' >short-psk/psk
cp psk/psk open-psk/psk
chmod 644 open-psk/psk

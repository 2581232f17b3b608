#!/usr/bin/env bash
# Makes v1.tar.gz, a data folder of version 1, with an ioc of that version
# (commit b83d188: git archive it and go build ./cmd/ioc there):
#
#   cmd/ioc/testdata/make-v1.sh PATH-OF-THE-OLD-IOC
#
# migrate_test.go reads it as it is. It wants curl and mosquitto_pub.
set -euo pipefail
ioc=$1
here=$(cd "$(dirname "$0")" && pwd)
tmp=$(mktemp -d)
trap 'kill "$pid" 2>/dev/null || true; rm -rf "$tmp"' EXIT
export IOC_ADMIN_PASSWORD=mật-khẩu-thử-nghiệm IOC_DATA_DIR=$tmp/data IOC_HTTP_ADDR=127.0.0.1:18080 IOC_MQTT_ADDR=127.0.0.1:11883
"$ioc" serve > "$tmp/log" 2>&1 &
pid=$!
until curl -sf http://127.0.0.1:18080/readyz > "$tmp/ready"; do sleep 0.2; done
api() { curl -sSf -b "$tmp/jar" -c "$tmp/jar" -H 'Content-Type: application/json' "http://127.0.0.1:18080/api/v1/$1" -d "$2"; }
api session "{\"username\":\"admin\",\"password\":\"$IOC_ADMIN_PASSWORD\"}"
api rules '{"id":"man-4","title":"Độ mặn vượt 4 g/l","metric":"salinity","scope":{},"on":{"above":4},"off":{"below":3.5},"priority":"high"}' > "$tmp/rule"
api cameras '{"id":"cam-1","name":"Cống","url":"rtsp://ioc:secret@192.0.2.1/cam-1","position":{"lon":106.58,"lat":10.29},"bearing":180,"view_deg":60}' > "$tmp/camera"
password=$(api devices '{"id":"tram-1","name":"Cống Xuân Hòa","kind":"station","position":{"lon":106.45,"lat":10.31}}' | sed 's/.*"password":"\([^"]*\)".*/\1/')
# Two days of ten minutes from 2026-06-01T00:00Z; level is the number of the value, in cm.
python3 - > "$tmp/payload" <<'PY'
import json
print(json.dumps([{"ts": 1780272000000 + i*600000, "values": {"level": i/100}} for i in range(288)]))
PY
say() { mosquitto_pub -V 5 -h 127.0.0.1 -p 11883 -q 1 -u tram-1 -P "$password" -t devices/tram-1/telemetry "$@"; }
say -f "$tmp/payload"
say -m '{"values":{"salinity":6.25}}'
sleep 1 # the alarm's commit
kill "$pid"; wait "$pid" || true
rm -f "$tmp/data/LOCK" "$tmp/data/series/series/LOCK"
echo "$password" > "$tmp/data/PASSWORD-OF-TRAM-1"
tar -C "$tmp" --sort=name --owner=0 --group=0 --numeric-owner -cf - data | gzip -9n > "$here/v1.tar.gz"
ls -l "$here/v1.tar.gz"

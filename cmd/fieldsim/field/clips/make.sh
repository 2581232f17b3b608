#!/usr/bin/env bash
# Makes the demo's clips: one minute of each camera as H.264 in Annex B, and a
# loop of sound for the market. Wants go, ffmpeg with librsvg and libx264, and the
# font DejaVu Sans Mono. The pictures are drawn, of no place as it is.
#
# 640x360, 12 pictures a second, a key frame every 2 s that begins a closed
# group, no B-frames, access unit delimiters, one slice a picture. The picture's
# clock is the second of the minute, since the server plays picture
# (unix ms mod 60000) * 12 / 1000.
set -euo pipefail
cd "$(dirname "$0")"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

go build -o "$work/draw" canvas.go draw.go scenes.go
for cam in cam-1 cam-2 cam-3 cam-4 cam-5 cam-6; do
  mkdir "$work/$cam"
  "$work/draw" "$cam" "$work/$cam"
  # repeat-headers and no info SEI: each group stands alone and nothing else is in it.
  ffmpeg -v error -y -framerate 12 -i "$work/$cam/%03d.svg" -an \
    -vf scale=out_range=tv:out_color_matrix=bt709,format=yuv420p -colorspace bt709 -color_primaries bt709 -color_trc bt709 \
    -c:v libx264 -profile:v high -level 3.0 -preset veryslow -tune animation -crf "${CRF:-38}" \
    -x264-params "keyint=24:min-keyint=24:scenecut=0:bframes=0:open-gop=0:aud=1:slices=1:repeat-headers=1:sliced-threads=0:ref=3" \
    -bsf:v 'filter_units=remove_types=6' -f h264 "$cam.h264"
done

# What a camera shows that has lost its settings: another size in mid-stream.
ffmpeg -v error -y -f lavfi -i "smptebars=size=320x180:rate=12:duration=2" -vf format=yuv420p \
  -c:v libx264 -profile:v main -level 2.0 -preset veryslow -crf 34 \
  -x264-params "keyint=12:min-keyint=12:scenecut=0:bframes=0:open-gop=0:aud=1:slices=1:repeat-headers=1:sliced-threads=0" \
  -bsf:v 'filter_units=remove_types=6' -f h264 bars.h264

# A market from afar: a murmur that swells, and a few small bells. 12 s, so that five make a minute.
ffmpeg -v error -y \
  -f lavfi -i "anoisesrc=color=pink:amplitude=0.25:seed=9:sample_rate=16000:duration=12" \
  -f lavfi -i "aevalsrc='0.05*exp(-6*mod(t\,4))*sin(2*PI*1318*t)+0.04*exp(-7*mod(t+1.5\,6))*sin(2*PI*987*t)':s=16000:d=12" \
  -filter_complex "[0]bandpass=f=500:width_type=o:w=2.4,volume='0.5+0.25*sin(2*PI*t/6)':eval=frame[m];[m][1]amix=inputs=2:normalize=0[a]" \
  -map "[a]" -ac 1 -ar 16000 -c:a aac -profile:a aac_low -b:a 20k -f adts cam-6.aac

ls -l -- *.h264 *.aac

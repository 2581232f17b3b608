// Package fmp4 writes and reads fragmented MP4 (ISO/IEC 14496-12, -14, -15) as
// browsers play it and as a recording survives a crash: an init segment, then
// fragments of moof and mdat.
//
// # What keeps a browser playing
//
// A file that is right by the standard may still stop a Media Source player.
// What follows was measured with Chromium 156, one fragment a picture and one
// append a fragment, by whether every picture was decoded
// (getVideoPlaybackQuality) and playback went on.
//
//   - The step from one DTS to the next must be less than twice the duration
//     that the sample before declared. Of exactly twice the rounding to
//     microseconds makes too much. Else the browser wants a key frame on every
//     track, and drops all pictures until there is one. To declare the longest
//     of the last 16 steps, and to shorten a step to twice that less one tick,
//     loses nothing at steps of 0, 33, 40, 66 and 80 ms in any order, from 25 to
//     5 pictures a second and back, at 3 s a picture, over a freeze of 4 s.
//   - DTS rises strictly; one tick of 90 kHz is enough. It may start anywhere.
//   - PTS may be before DTS or after it, by seconds. B-frames whose depth is
//     learned late, so that offsets are negative at first, play from the first picture.
//     PTS may stay true where DTS is shortened; but over a freeze that is true,
//     a player sits in real time and is late from then on.
//   - A declared duration that is too long harms nothing, but the buffer seems
//     to reach that much further than there are pictures.
//   - The first rule holds for sound too, and a single lost frame of AAC breaks
//     it: the pictures are gone up to the next key frame. Two lost frames leave a hole
//     at which playback stays for ever. So sound rises by exactly one frame, always:
//     holes are filled (AAC.Silence), and frames that came twice are left out. Of shortened
//     steps or longer durations sound and pictures drift apart.
//   - A player does not pass the end of its shortest track. Where sound stops
//     and pictures go on, silence goes on with them, until a stream without
//     sound begins.
//   - Sound may ride in the pictures' fragments as a second track, several
//     frames or none in each.
//   - After fragments were left out, up to a key frame, there are two ranges in
//     the buffer. Playback stops 20 to 60 ms before the end of the first and must
//     be moved to the start of the second.
//   - Other codecs or sizes, or a track more or less, are a new MediaSource with
//     a new init segment.
package fmp4

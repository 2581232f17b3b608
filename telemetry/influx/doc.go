// Package influx keeps series in an InfluxDB (2.x, Cloud, or 1.8 with Flux) for
// provinces that outgrow the embedded engine: the log stays in front and owns the
// acknowledgement, a Forwarder feeds the database from it, and Store answers by Flux.
//
// Windows are telemetry's own, made of the points: Flux's took four times as long
// for a year on 1.8 (0.4 s), which reads every point for each aggregate.
//
// The measurement "observation" of the bucket is ours alone. Should somebody else
// write one of its fields as another type, InfluxDB refuses our points of that
// shard (a day, a week), which are set aside, loudly; and its Flux then reads
// nothing behind that shard in a range that crosses it. Deleting what is foreign
// mends both; `value`, `flag` and `seen` are a float and two integers.
package influx

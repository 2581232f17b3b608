// Package mqtt is the edge where devices speak: the embedded MQTT 3.1.1 and 5
// broker with every guard around it, and the client of an outside broker,
// which fills the same seam. It hides mochi and paho.
//
// mochi keeps sessions, subscriptions and keep-alives. What is decided here:
//
//   - who may connect, under which client id, with which will (login.go, will.go);
//   - where a connection may publish. All publishes are taken away in mochi's
//     OnPacketRead, before it acknowledges, retains or fans out anything
//     (publish.go, hook.go);
//   - when a publish is acknowledged: after the Handler's done, in the order of
//     the publishes, those of one commit in one write (acks.go);
//   - what a peer may cost (conn.go, wire.go).
//
// Bounds, and what happens there:
//
//   - connections: MaxConnections, and a quarter of it for one identity;
//     beyond, CONNACK 0x89 or 0x97 (v3: 3 or 5);
//   - a CONNECT: 10 s and 256 KiB, and 64 at a time beyond 4 KiB; closed;
//   - a packet: 1 MiB and a little; closed. Packets beyond 64 KiB take 64 turns,
//     each at most 30 s; the others wait, unread;
//   - publishes without acknowledgement: 1,024 and 4 MiB a connection; beyond,
//     the connection is not read, so that TCP holds the sender;
//   - one write to a client: 10 s; closed;
//   - messages towards a client: 64 queued, 256 in flight; dropped by mochi;
//   - a persistent session, which only a device's own id has: 7 days.
//
// An idle connection costs about 30 KB, most of it stacks.
//
// # An outside broker
//
// External (external*.go) subscribes at an outside broker, MQTT 3.1.1, to what
// devices publish at the embedded one. Its promise is the same: the broker is
// acknowledged after the Handler's done, in the order of the messages, and
// keeps until then (clean session off, one client id for ever) what it has
// sent. When the store fails, the connection is dropped without
// acknowledgement, and the broker sends again. An acknowledgement is bound to
// its connection; one that comes after its end is dropped, and the message
// comes twice. So once is promised for messages with a time of their own.
//
// Who may publish where is for the broker's own rules: a topic names the device,
// and what it says is believed. What is not accepted is acknowledged, since it
// would come again unchanged: an unknown device, a topic that is none and a
// payload beyond 1 MiB, which is not kept, are given to the Handler with Refused,
// to be set aside; retained telemetry (a copy of old values, which would look
// live) is counted and dropped. All are in ioc_refused_total.
//
// Bounds: 4,096 messages and 16 MiB without acknowledgement, over all
// connections; beyond, the broker is not read (pings go on). A payload beyond
// 1 MiB is not held; packets that a subscriber does not get end the connection.
// Silence of 1.5 keep-alives and 5 s ends it, too. Nothing is dropped for want of room.
package mqtt

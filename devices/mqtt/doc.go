// Package mqtt is the edge where devices speak: the embedded MQTT 3.1.1 and 5
// broker with every guard around it. It hides mochi.
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
package mqtt

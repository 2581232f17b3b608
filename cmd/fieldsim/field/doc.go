// Package field is a simulated province: stations, weather, access points and
// the gateways that speak for them, over real MQTT, and cameras that film it,
// over real RTSP, with the faults of real ones. Beside it stand a load generator
// that keeps a ledger of what was acknowledged, the audit that holds a store
// against that ledger, and viewers that count what they see.
//
// Every value is a pure function of (seed, time), so that the past that
// History tells and the present that Run speaks join without a seam. Positions
// and values are illustrative; no station of this province exists.
package field

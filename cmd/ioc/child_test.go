package main

// runAsChild lets the test binary play another process (a bare broker for the
// benchmarks); it says whether it did.
var runAsChild = func() bool { return false }

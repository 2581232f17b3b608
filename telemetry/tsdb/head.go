package tsdb

// Head is the seq of the newest durable record: what a consumer's place is behind of.
func (db *DB) Head() uint64 { return db.appended.Load() }

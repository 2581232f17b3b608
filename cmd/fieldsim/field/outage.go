package field

import (
	"log/slog"
	"sync"

	"cuulong/devices"
)

// An outage tells once that devices cannot connect, and once that all can
// again, however many there are.
type outage struct {
	log    *slog.Logger
	broker string

	mu   sync.Mutex
	away map[devices.ID]bool
	told bool
}

func (o *outage) failed(id devices.ID, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.away == nil {
		o.away = map[devices.ID]bool{}
	}
	o.away[id] = true
	if !o.told {
		o.told = true
		o.log.Warn("devices cannot connect; they try again", "broker", o.broker, "first", id, "err", err)
	}
}

func (o *outage) connected(id devices.ID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.away, id)
	if o.told && len(o.away) == 0 {
		o.told = false
		o.log.Info("all devices are connected again", "broker", o.broker)
	}
}

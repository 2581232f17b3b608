package main

import (
	"context"
	"fmt"
	"log/slog"
	"syscall"
	"time"

	"cuulong/alerts"
)

// disk watches whether the log can be written, and says so to those who must
// know: an alarm for the operators, /readyz for machines, the log for the technician.
type disk struct {
	log *slog.Logger
	dir string // of the data
	// Of the series.
	space func() (free, reserve uint64, err error)
	err   func() error // why nothing is written any more; nil while it is
	// Of the alarm engine.
	tell func(c alerts.Condition, holds bool, value float64, comment string)
	text diskText

	low, full bool // owned by run
	blind     bool // owned by run: space could not be told
}

// diskEvery is how often the disk is looked at: space comes back within 10 s of being made.
const diskEvery = 2 * time.Second

func (d *disk) run(ctx context.Context) {
	tick := time.NewTicker(diskEvery)
	defer tick.Stop()
	for {
		d.look()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// ready says why nothing is taken in.
func (d *disk) ready() error {
	if err := d.err(); err != nil {
		return err
	}
	if free, reserve, err := d.space(); err == nil && free < reserve {
		return fmt.Errorf("disk: %d MiB are free, %d MiB are kept in reserve: nothing is taken in until there is space", free>>20, reserve>>20)
	}
	return nil
}

// look tells the engine how things are; what has not changed is no news to it.
func (d *disk) look() {
	failed := d.err() != nil
	d.tell(alerts.Condition{ID: alerts.LogFailed, Title: d.text.failed, Priority: alerts.Urgent, Metric: logMetric}, failed, 0, pick(failed, d.text.failedWhy, ""))

	free, reserve, err := d.space()
	if err != nil {
		if !d.blind {
			d.log.Error("disk: how much is free cannot be told", "err", err)
		}
		d.blind = true
		return
	}
	d.blind = false
	low := lowSpace(diskSize(d.dir), reserve)
	d.full = below(d.full, free, reserve)
	d.low = below(d.low, free, low)
	const mib = 1 << 20
	condition := alerts.Condition{Metric: spaceMetric, Unit: "MiB"}
	condition.ID, condition.Title, condition.Priority, condition.Threshold = alerts.DiskFull, d.text.full, alerts.Urgent, float64(reserve>>20)
	d.tell(condition, d.full, float64(free/mib), pick(d.full, d.text.fullWhy, ""))
	condition.ID, condition.Title, condition.Priority, condition.Threshold = alerts.DiskLow, d.text.low, alerts.High, float64(low>>20)
	d.tell(condition, d.low, float64(free/mib), pick(d.low, d.text.lowWhy, ""))
}

// What the conditions measure. They are of no catalogue, since no device has them.
const (
	spaceMetric = "disk_free"
	logMetric   = "log"
)

// lowSpace is the free space in bytes below which somebody should make room:
// a tenth of the disk, though no more than 2 GiB of a large one and no less
// than twice the reserve.
func lowSpace(size, reserve uint64) uint64 { return max(min(size/10, 2<<30), 2*reserve) }

// below says whether free lies below a limit; once it does, it must rise by a
// quarter over the limit, lest the alarm flap.
func below(was bool, free, limit uint64) bool {
	if was {
		limit += limit / 4
	}
	return free < limit
}

func pick(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}

// diskSize is the size of the file system that holds dir, 0 where it cannot be told.
func diskSize(dir string) uint64 {
	var s syscall.Statfs_t
	if syscall.Statfs(dir, &s) != nil {
		return 0
	}
	return s.Blocks * uint64(s.Bsize)
}

// diskText is what an alarm about the disk says, in the server's language; the
// web pages say it in the reader's.
type diskText struct {
	low, lowWhy, full, fullWhy, failed, failedWhy string
}

var diskTexts = map[string]diskText{
	"vi": {
		low:       "Đĩa lưu trữ sắp đầy",
		lowWhy:    "Cần giải phóng dung lượng trước khi máy chủ phải ngừng ghi nhận số liệu.",
		full:      "Đĩa đầy: số liệu mới không được ghi nhận",
		fullWhy:   "Thiết bị không nhận được xác nhận và sẽ gửi lại. Việc ghi nhận tự tiếp tục khi đĩa có chỗ trống.",
		failed:    "Lỗi ghi đĩa: số liệu mới không được ghi nhận",
		failedWhy: "Nhật ký máy chủ cho biết nguyên nhân. Kiểm tra đĩa rồi khởi động lại máy chủ.",
	},
	"en": {
		low:       "The storage disk is filling up",
		lowWhy:    "Make room before the server has to stop recording observations.",
		full:      "Disk full: new observations are not recorded",
		fullWhy:   "Devices get no acknowledgement and will send again. Recording goes on by itself once there is space.",
		failed:    "Disk write error: new observations are not recorded",
		failedWhy: "The server's log says why. Check the disk, then start the server again.",
	},
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"time"

	"cuulong/cmd/fieldsim/field"
)

type camerasCmd struct {
	Addr     string   `default:"127.0.0.1:8555" help:"Where to listen, host:port; port 0 takes a free one."`
	Count    int      `default:"0" help:"How many cameras, cam-1 on; 0 is the demo's six, or one of a clip."`
	Clip     string   `help:"File that all cameras play: H.264 in Annex B without B-frames, as of ffmpeg -c:v libx264 -bf 0 -f h264." type:"existingfile"`
	FPS      int      `name:"fps" default:"25" help:"Pictures a second of the clip."`
	User     string   `help:"User that may look; none: everybody."`
	Password string   `env:"FIELDSIM_CAMERA_PASSWORD" help:"The user's password; better given by the environment."`
	Stamp    bool     `help:"Each picture carries its number and time of sending, which viewers measure by."`
	Faulty   []string `help:"Cameras that the faults are for; default all." placeholder:"cam-1,..."`

	Faults field.CameraFaults `embed:"" prefix:"fault-"`
}

func (c camerasCmd) Run(ctx context.Context) error {
	o := field.CameraOptions{User: c.User, Password: c.Password, Count: c.Count, Stamp: c.Stamp, Logger: logger(),
		Seed: uint64(time.Now().UnixNano())}
	if c.Clip != "" {
		data, err := os.ReadFile(c.Clip)
		if err != nil {
			return err
		}
		if o.Clip, err = field.ReadClip(data, c.FPS); err != nil {
			return fmt.Errorf("%s: %w", c.Clip, err)
		}
		o.Count = max(1, c.Count)
	}
	if c.Faults != (field.CameraFaults{}) {
		o.Faults = func(path string) field.CameraFaults {
			if len(c.Faulty) > 0 && !slices.Contains(c.Faulty, path) {
				return field.CameraFaults{}
			}
			return c.Faults
		}
	}
	s, err := field.NewCameraServer(o)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return err
	}
	if o.Count == 0 {
		o.Count = len(field.Cameras(""))
	}
	for i := range o.Count {
		u := url.URL{Scheme: "rtsp", Host: l.Addr().String(), Path: "/cam-" + strconv.Itoa(i+1)}
		if c.User != "" {
			u.User = url.User(c.User) // who starts it knows the password; a screen need not
		}
		fmt.Println(u.String())
	}
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	if err := s.Serve(l); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return s.Close() // waits for the sessions
}

type viewersCmd struct {
	server
	Camera string        `required:"" help:"Id of the camera to look at."`
	Count  int           `default:"1" help:"Viewers at once."`
	For    time.Duration `name:"for" default:"20s" help:"How long they look; 0 until interrupted."`
}

func (c viewersCmd) Run(ctx context.Context) error {
	if _, err := c.open(); err != nil {
		return err
	}
	v, err := field.View(ctx, field.ViewOptions{API: c.API, Token: c.Token, Camera: c.Camera, Count: c.Count, Duration: c.For})
	if v.Viewers > 0 {
		err = errors.Join(err, json.NewEncoder(os.Stdout).Encode(v))
	}
	return err
}

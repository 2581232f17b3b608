package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"cuulong/ui/access"
)

// passwdCmd is for the lost administrator: whoever may write the data folder
// may set a password there, also while the server runs.
type passwdCmd struct {
	User   string `arg:"" help:"Account, as admin."`
	Config string `help:"Configuration file (YAML) that names the data folder." placeholder:"FILE"`
}

func (c passwdCmd) Run() error {
	cfg, err := loadConfig(c.Config, false, os.Getenv)
	if err != nil {
		return err
	}
	password, err := askPassword(os.Stdin, c.User)
	if err != nil {
		return err
	}
	if err := setPassword(context.Background(), cfg.DataDir, c.User, password); err != nil {
		return err
	}
	fmt.Printf("%s has a new password\n", c.User)
	return nil
}

func setPassword(ctx context.Context, dir, user, password string) error {
	if err := isDataDir(dir); err != nil {
		return err
	}
	v, err := readVersion(dir)
	if err == nil {
		err = sameVersion(v, dir)
	}
	if err != nil {
		return err
	}
	db, err := openRecords(dir)
	if err != nil {
		return err
	}
	defer db.Close()
	control, err := access.Open(ctx, db)
	if err != nil {
		return err
	}
	if err := control.SetPassword(ctx, user, password); errors.Is(err, access.ErrNotFound) {
		return fmt.Errorf("no account %q", user)
	} else if err != nil {
		return err
	}
	return nil
}

// askPassword asks twice at a terminal without echo, and reads one line otherwise.
func askPassword(in *os.File, user string) (string, error) {
	fd := int(in.Fd())
	if !term.IsTerminal(fd) {
		line, err := bufio.NewReader(io.LimitReader(in, 4096)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	fmt.Fprintf(os.Stderr, "New password for %s: ", user)
	first, err := term.ReadPassword(fd)
	fmt.Fprintln(os.Stderr)
	if err != nil {
		return "", err
	}
	fmt.Fprint(os.Stderr, "The same again: ")
	second, err := term.ReadPassword(fd)
	fmt.Fprintln(os.Stderr)
	if err != nil {
		return "", err
	}
	if string(first) != string(second) {
		return "", errors.New("the two differ; nothing was changed")
	}
	return string(first), nil
}

package video

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
)

const (
	keyFile = "cameras.key"
	keySize = 32 // AES-256
	// sealedV1 begins what seal makes: version, nonce of 12 bytes, ciphertext with its tag.
	sealedV1 = 1
)

// errKey: what is sealed cannot be opened with the key that is there, or none is.
var errKey = errors.New("the key of the cameras' addresses is missing or another one")

// vault seals and opens the cameras' URLs. The key is read at the first use and
// made at the first sealing.
type vault struct {
	dir string
	log *slog.Logger

	mu   sync.Mutex
	aead cipher.AEAD // nil until the key is read
}

// seal encrypts text so that it opens for this camera alone.
func (v *vault) seal(camera, text string) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	err := v.read()
	if errors.Is(err, fs.ErrNotExist) {
		err = v.make()
	}
	if err != nil {
		return "", fmt.Errorf("cameras' key: %w", err)
	}
	sealed := make([]byte, 1+v.aead.NonceSize(), 1+v.aead.NonceSize()+len(text)+v.aead.Overhead())
	sealed[0] = sealedV1
	nonce := sealed[1:]
	rand.Read(nonce) // never fails
	return hex.EncodeToString(v.aead.Seal(sealed, nonce, []byte(text), []byte(camera))), nil
}

// open decrypts what seal made for this camera. The error is errKey whatever
// is wrong: what was tampered with looks like what was sealed by another key.
func (v *vault) open(camera, sealed string) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.read(); err != nil {
		return "", errKey
	}
	raw, err := hex.DecodeString(sealed)
	if err != nil || len(raw) < 1+v.aead.NonceSize() || raw[0] != sealedV1 {
		return "", errKey
	}
	nonce, text := raw[1:1+v.aead.NonceSize()], raw[1+v.aead.NonceSize():]
	plain, err := v.aead.Open(nil, nonce, text, []byte(camera))
	if err != nil {
		return "", errKey
	}
	return string(plain), nil
}

// read loads the key. fs.ErrNotExist: there is none.
func (v *vault) read() error {
	if v.aead != nil {
		return nil
	}
	path := filepath.Join(v.dir, keyFile)
	key, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if len(key) == 0 {
		// Made, and the machine stopped before it was written: nothing was sealed with it.
		return fs.ErrNotExist
	}
	if len(key) != keySize {
		return fmt.Errorf("%s has %d bytes instead of %d", keyFile, len(key), keySize)
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
		v.log.Warn("the cameras' key was readable by others; it is the owner's alone now", "file", keyFile)
		if err := os.Chmod(path, 0o600); err != nil {
			return err
		}
	}
	return v.use(key)
}

// make writes a new key; it replaces none.
func (v *vault) make() error {
	if err := os.MkdirAll(v.dir, 0o700); err != nil {
		return err
	}
	path := filepath.Join(v.dir, keyFile)
	if info, err := os.Stat(path); err == nil && info.Size() == 0 {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	key := make([]byte, keySize)
	rand.Read(key) // never fails
	_, err = f.Write(key)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	// Before anything is sealed with it, its name must be safe, too.
	for _, dir := range []string{v.dir, filepath.Dir(filepath.Clean(v.dir))} {
		if err := syncDir(dir); err != nil {
			return err
		}
	}
	v.log.Info("made the key of the cameras' addresses; a backup must hold it", "file", keyFile)
	return v.use(key)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (v *vault) use(key []byte) error {
	block, err := aes.NewCipher(key)
	if err != nil {
		return err
	}
	v.aead, err = cipher.NewGCM(block)
	return err
}

package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"

	"holdfast/internal/auth"
	"holdfast/internal/vfs"
)

const (
	secretMax  = 4 << 10 // bytes of a secret's file that are believed
	secretWait = 10 * time.Second
	secretLook = 5 * time.Millisecond
)

// loadSecret finds what brokers know each other by. Without addresses of others, a
// broker that has none serves clients only.
func (n *Node) loadSecret(ctx context.Context) error {
	if n.secret = n.o.Secret; !n.secret.IsZero() {
		return nil
	}
	c := n.o.Config
	several := len(c.Bootstrap) > 0
	if c.SecretFile != "" {
		var err error
		n.secret, err = n.readSecret(c.SecretFile)
		return err
	}
	loopback := true
	for _, l := range c.Listeners {
		loopback = loopback && l.Bind.Loopback()
	}
	switch {
	case !loopback && several:
		return errors.New("the listeners are open to other machines, and brokers know each other by a secret: " +
			"name a file with broker.secret.file, the same content on each broker (64 or more hexadecimal digits)")
	case !loopback:
		return nil
	case n.o.UserSecret == "" && several:
		return errors.New("there is no place for the secret by which brokers know each other: name a file with broker.secret.file")
	case n.o.UserSecret == "":
		return nil
	}
	secret, err := n.sharedSecret(ctx, n.o.UserSecret)
	if err != nil && several {
		return err
	}
	if err != nil {
		n.o.Log.Warn("no other broker can join this one: there is no secret to know it by", "error", err)
	}
	n.secret = secret
	return nil
}

func (n *Node) readSecret(name string) (auth.Secret, error) {
	info, err := n.o.Env.FS.Stat(name)
	if err != nil {
		return auth.Secret{}, fmt.Errorf("read the broker secret: %w", err)
	}
	if info.Shared {
		return auth.Secret{}, fmt.Errorf("the broker secret %s can be read by others than its owner: chmod 600 it", name)
	}
	b, err := vfs.ReadFile(n.o.Env.FS, name, secretMax)
	if err != nil {
		return auth.Secret{}, fmt.Errorf("read the broker secret: %w", err)
	}
	secret, err := auth.ParseSecret(string(b))
	if err != nil {
		return auth.Secret{}, fmt.Errorf("broker secret %s: %w", name, err)
	}
	return secret, nil
}

// sharedSecret reads the secret of this user's brokers. The first broker draws it,
// under a lock, because several may start at once.
func (n *Node) sharedSecret(ctx context.Context, name string) (auth.Secret, error) {
	fsys, began := n.o.Env.FS, n.o.Env.Clock.Now()
	for {
		secret, err := n.readSecret(name)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return secret, err
		}
		if err := fsys.MkdirAll(path.Dir(name)); err != nil {
			return auth.Secret{}, fmt.Errorf("make a place for the broker secret: %w", err)
		}
		lock, err := fsys.Lock(name + ".lock")
		if err == nil {
			secret, err := n.drawSecret(name)
			return secret, errors.Join(err, lock.Close())
		}
		if !errors.Is(err, vfs.ErrLocked) || n.o.Env.Clock.Since(began) > secretWait || ctx.Err() != nil {
			return auth.Secret{}, fmt.Errorf("make the broker secret: %w", err)
		}
		n.o.Env.Clock.Sleep(secretLook)
	}
}

func (n *Node) drawSecret(name string) (auth.Secret, error) {
	if secret, err := n.readSecret(name); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return secret, err // another broker was faster
	}
	secret := auth.NewSecret(n.o.Env.Rand)
	if err := vfs.WritePrivateFile(n.o.Env.FS, name, []byte(secret.Text())); err != nil {
		return auth.Secret{}, fmt.Errorf("make the broker secret: %w", err)
	}
	return secret, nil
}

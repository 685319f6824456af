package cli

import (
	"os"
	"path/filepath"
)

// userSecret is the file by which this user's brokers on this machine know each
// other, "" where the user has no place for settings.
func userSecret() string {
	dir, err := os.UserConfigDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "holdfast", "broker.secret")
}

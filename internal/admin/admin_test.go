package admin

import "testing"

func TestProfiles_Admit(t *testing.T) {
	for _, x := range []struct {
		who    Profiles
		remote string
		want   bool
	}{
		{ProfilesLoopback, "127.0.0.1:5000", true}, {ProfilesLoopback, "[::1]:5000", true}, {ProfilesLoopback, "[::ffff:127.0.0.1]:5000", true},
		{ProfilesLoopback, "10.0.0.1:5000", false}, {ProfilesLoopback, "[2001:db8::1]:5000", false}, {ProfilesLoopback, "", false},
		{ProfilesLoopback, "127.0.0.1.example:5000", false},
		{ProfilesAll, "10.0.0.1:5000", true}, {"off", "127.0.0.1:5000", false}, {"", "127.0.0.1:5000", false},
	} {
		if got := x.who.admits(x.remote); got != x.want {
			t.Errorf("%q admits %q: %v", x.who, x.remote, got)
		}
	}
}

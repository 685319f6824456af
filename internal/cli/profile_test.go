package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestProfile_NamesClusters(t *testing.T) {
	_, one := fake(t, "in-one")
	_, two := fake(t, "in-two")
	file := filepath.Join(t.TempDir(), "deep", "config.yaml")
	env := []string{"HOLDFAST_CONFIG=" + file}
	in := func(env []string, code int, says string, args ...string) string {
		t.Helper()
		c := newCall("")
		c.env = env
		if got := c.run(t, args...); got != code || !strings.Contains(c.out.String()+c.err.String(), says) {
			t.Errorf("%v: status %d, want %d and %q: %s%s", args, got, code, says, c.out, c.err)
		}
		return c.out.String()
	}
	in(env, 1, "no profile is in use", "profile", "show")
	in(env, 0, "profile one is in use", "profile", "create", "one", "-b", one, "-X", "client.id=me")
	in(env, 0, "", "profile", "create", "two", "-b", two)
	in(env, 1, "--force", "profile", "create", "two", "-b", two)
	in(env, 2, "-b HOST:PORT", "profile", "create", "three")
	in(env, 2, "unknown client property", "profile", "create", "three", "-b", two, "-X", "x=1")
	in(env, 0, "in-two", "topic", "list")
	in(env, 0, "in-one", "topic", "list", "--profile", "one")
	in(append(env, "HOLDFAST_PROFILE=one"), 0, "in-one", "topic", "list")
	in(append(env, "HOLDFAST_PROFILE=one"), 0, "in-two", "topic", "list", "--profile", "two")
	in(append(env, "HOLDFAST_BROKERS="+one), 0, "in-one", "topic", "list")
	in(append(env, "HOLDFAST_BROKERS="+two), 0, "in-one", "topic", "list", "-b", one)
	in(env, 2, "there is no profile", "topic", "list", "--profile", "none")
	in(env, 0, "profile one is in use", "profile", "use", "one")
	in(env, 2, "there is no profile", "profile", "use", "none")
	in(env, 0, "in-one", "topic", "list")
	in(env, 0, "client.id=me", "profile", "show")
	var list []struct {
		Name    string
		Current bool
		Brokers []string
	}
	if err := json.Unmarshal([]byte(in(env, 0, "", "profile", "ls", "-O", "json")), &list); err != nil || len(list) != 2 || !list[0].Current || list[0].Brokers[0] != one {
		t.Errorf("%v: %+v", err, list)
	}
	in(env, 0, "one\ntwo\n", "__complete", "profile", "use", "")
	in(env, 0, "no profile is in use now", "profile", "delete", "one")
	in(env, 0, "two", "profile", "list")
	if st, err := os.Stat(file); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v: %v", err, st)
	}
	if err := os.WriteFile(file, []byte("profiles: ["), 0o600); err != nil {
		t.Fatal(err)
	}
	in(env, 1, "read the profiles", "topic", "list")
}

// What can be known without a broker is offered too.
func TestCompletion_OffersSettingsAndProperties(t *testing.T) {
	for _, c := range []struct {
		line []string
		want string
	}{
		{[]string{"topic", "alter", "t", "--set", "retention.m"}, "retention.ms=\t"},
		{[]string{"topic", "alter", "t", "-c", "retention.m"}, "retention.ms=\t"},
		{[]string{"topic", "alter", "t", "--delete", "retention.m"}, "retention.ms\t"},
		{[]string{"topic", "trim", "t", "-o", ""}, "end\n"},
		{[]string{"produce", "t", "-X", "lin"}, "linger.ms=\t"},
		{[]string{"topic", "list", "-b", ""}, ":4\n"},
	} {
		r := hf(t, "", append([]string{"__complete"}, c.line...)...)
		if r.code != 0 || !strings.HasPrefix(r.out, c.want) {
			t.Errorf("%v: status %d: %q", c.line, r.code, r.out)
		}
	}
}

// Completion asks the broker for names, and is silent where none answers.
func TestCompletion_IsSilentWithoutABroker(t *testing.T) {
	r := hf(t, "", "__complete", "group", "describe", "-b", "127.0.0.1:1", "")
	if r.code != 0 || !strings.HasPrefix(r.out, ":4") {
		t.Errorf("status %d: %q", r.code, r.out)
	}
	if strings.Contains(r.err, "error") {
		t.Errorf("%q", r.err)
	}
}

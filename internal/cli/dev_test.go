package cli_test

import (
	"os"
	"testing"
)

// TestDev_CreatesTopics: topics come into being by themselves, unless somebody
// says otherwise.
func TestDev_CreatesTopics(t *testing.T) {
	for _, c := range []struct {
		args []string
		env  string
		want bool
	}{
		{[]string{"dev"}, "X=", true},
		{[]string{"dev", "--set", "auto.create.topics.enable=false"}, "X=", false},
		{[]string{"dev"}, "KAFKA_AUTO_CREATE_TOPICS_ENABLE=false", false},
		{[]string{"server", "--data-dir", "/x"}, "X=", false},
	} {
		var p pretend
		call := newCall("")
		call.env, call.start = []string{"HOME=/home/me", c.env}, p.start
		call.interrupts <- os.Interrupt
		if code := call.run(t, c.args...); code != 0 {
			t.Fatalf("%v: status %d: %s", c.args, code, call.err)
		}
		if got := p.options.Config.AutoCreateTopics; got != c.want {
			t.Errorf("%v %s: auto-creation %v", c.args, c.env, got)
		}
	}
}

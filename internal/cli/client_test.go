package cli

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"

	"holdfast/internal/clock"
)

// A command that looks on for a minute (topic describe --rate 1m) has its whole
// time for the answers on top of that.
func TestAskFor_LookingOnTakesNothingFromTheAnswers(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	a := &app{Program: Program{Streams: Streams{Clock: clock.Real{}}}, brokers: c.ListenAddrs()}
	cmd := &cobra.Command{}
	cmd.SetContext(t.Context())
	for _, looks := range []time.Duration{0, time.Minute} {
		began := time.Now()
		err := a.askFor(cmd, looks, func(ctx context.Context, _ *kadm.Client) error {
			if until, ok := ctx.Deadline(); !ok || until.Sub(began) < looks+answerMax {
				t.Errorf("looking on for %s ends after %s", looks, until.Sub(began))
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// The size that the client reads from an HTTP answer is no fault of the broker.
func TestExplain_AnAdminListenerIsNoBroker(t *testing.T) {
	err := explain([]string{"h:9644"}, errors.New("invalid large response size 1213486160 > limit 104857600; the four size bytes are 'HTTP' in ascii, the beginning of an HTTP response; is your broker port correct?"))
	var f *failure
	if !errors.As(err, &f) || f.code != ExitFailed || err.Error() != "h:9644 speaks HTTP and not Kafka's protocol" || !strings.Contains(f.fix, "admin listener") {
		t.Errorf("%v", err)
	}
}

func TestMetricsURL(t *testing.T) {
	for _, admin := range []string{"h:1", "http://h:1", "http://h:1/", "http://h:1/metrics", "http://h:1/metrics/", "h:1/metrics"} {
		if got := metricsURL(admin); strings.TrimSuffix(got, "/") != "http://h:1/metrics" {
			t.Errorf("%s: %s", admin, got)
		}
	}
}

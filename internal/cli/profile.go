package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

// profiles is the configuration file of the client's commands.
type profiles struct {
	Current  string             `yaml:"current,omitempty"`
	Profiles map[string]profile `yaml:"profiles"`
}

// profile is what one cluster is reached by.
type profile struct {
	Brokers []string `yaml:"brokers,omitempty" json:"brokers"`
	Admin   string   `yaml:"admin,omitempty" json:"admin,omitempty"`
	Options []string `yaml:"options,omitempty" json:"options,omitempty"` // -X KEY=VALUE
}

const profileLong = `Keep the addresses and options of clusters under names, in one file:
HOLDFAST_CONFIG, else $XDG_CONFIG_HOME/holdfast/config.yaml, else
~/.config/holdfast/config.yaml.

Flags outrank the environment (HOLDFAST_BROKERS, HOLDFAST_ADMIN), which outranks the
profile: that of --profile, else HOLDFAST_PROFILE, else the one that "use" chose.`

func (a *app) profileCommand() *cobra.Command {
	c := parent("profile", "Keep addresses and options of clusters under names", []string{"profiles", "context"},
		a.profileCreateCommand(), a.profileUseCommand(), a.profileListCommand(), a.profileShowCommand(), a.profileDeleteCommand())
	c.Long = profileLong
	c.Example = "  holdfast profile create prod -b broker-1:9092,broker-2:9092 --admin broker-1:9644\n  holdfast profile use prod\n  holdfast topic list --profile prod"
	return c
}

// profileFile is where the profiles are.
func (a *app) profileFile() (string, error) {
	if name := a.Streams.env("HOLDFAST_CONFIG"); name != "" {
		return name, nil
	}
	if dir := a.Streams.env("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "holdfast", "config.yaml"), nil
	}
	if home := a.Streams.env("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".config", "holdfast", "config.yaml"), nil
	}
	return "", withFix(errors.New("no place for profiles: neither HOLDFAST_CONFIG, XDG_CONFIG_HOME nor HOME is set"), "Set HOLDFAST_CONFIG to a file.")
}

func (a *app) loadProfiles() (profiles, error) {
	p := profiles{Profiles: map[string]profile{}}
	name, err := a.profileFile()
	if err != nil {
		return p, err
	}
	const most = 1 << 20
	data, err := a.Streams.readInput(name, most)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err == nil {
		err = yaml.Unmarshal(data, &p)
	}
	if err != nil {
		return p, fmt.Errorf("read the profiles in %s: %w", name, err)
	}
	if p.Profiles == nil {
		p.Profiles = map[string]profile{}
	}
	return p, nil
}

// saveProfiles replaces the file at once, so that a crash leaves the old or the
// new one.
func (a *app) saveProfiles(p profiles) error {
	name, err := a.profileFile()
	if err != nil {
		return err
	}
	data, err := yaml.Marshal(p)
	if err != nil {
		return err
	}
	const private, privateDir = 0o600, 0o700
	if err := os.MkdirAll(filepath.Dir(name), privateDir); err != nil {
		return fmt.Errorf("save the profiles: %w", err)
	}
	f, err := os.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, private)
	if err != nil {
		return fmt.Errorf("save the profiles: %w", err)
	}
	_, err = f.Write(data)
	if err = cmpOr(cmpOr(err, f.Sync()), f.Close()); err == nil {
		err = os.Rename(name+".new", name)
	}
	if err != nil {
		return fmt.Errorf("save the profiles: %w", err)
	}
	return nil
}

// chosenProfile is the profile that holds for this command; its name is empty
// where there is none.
func (a *app) chosenProfile() (string, profile, error) {
	name := a.profile
	if name == "" {
		name = a.Streams.env("HOLDFAST_PROFILE")
	}
	all, err := a.loadProfiles()
	if name == "" {
		if err != nil {
			if _, where := a.profileFile(); where != nil {
				return "", profile{}, nil // no home: no profiles, and nobody asked for one
			}
			return "", profile{}, err
		}
		if name = all.Current; name == "" {
			return "", profile{}, nil
		}
	}
	if err != nil {
		return "", profile{}, err
	}
	p, ok := all.Profiles[name]
	if !ok {
		return "", p, unknownProfile(name)
	}
	return name, p, nil
}

func unknownProfile(name string) error {
	return &failure{code: ExitUsage, err: fmt.Errorf("there is no profile %q", name), fix: "`holdfast profile list` shows what exists; `holdfast profile create NAME -b HOST:PORT` makes one."}
}

func (a *app) profileCreateCommand() *cobra.Command {
	var p profile
	var force bool
	cmd := &cobra.Command{Use: "create NAME", Short: "Make a profile, and use it", Args: words(1, 1), ValidArgsFunction: cobra.NoFileCompletions,
		Example: "  holdfast profile create local -b 127.0.0.1:9092\n  holdfast profile create prod -b broker-1:9092,broker-2:9092 -X client.id=ops",
		RunE: run(func(_ *cobra.Command, args []string) error {
			all, err := a.loadProfiles()
			if err != nil {
				return err
			}
			if _, exists := all.Profiles[args[0]]; exists && !force {
				return withFix(fmt.Errorf("profile %s exists", args[0]), "--force replaces it.")
			}
			if args[0] == "" || strings.ContainsAny(args[0], " \t\n") {
				return usagef("a profile's name is one word")
			}
			if len(p.Brokers) == 0 {
				return usagef("-b HOST:PORT is missing: a profile without brokers is of no use")
			}
			if _, err := a.withOptions(defaultClient(), p.Options); err != nil {
				return err
			}
			all.Profiles[args[0]], all.Current = p, args[0]
			if err := a.saveProfiles(all); err != nil {
				return err
			}
			a.talk("profile %s is in use", args[0])
			return nil
		})}
	f := cmd.Flags()
	f.StringSliceVarP(&p.Brokers, "brokers", "b", nil, "HOST:PORT of one or more brokers")
	f.StringVar(&p.Admin, "admin", "", "HOST:PORT of a broker's admin listener")
	f.StringArrayVarP(&p.Options, "client-option", "X", nil, "client property KEY=VALUE; may be repeated")
	f.BoolVar(&force, "force", false, "replace a profile of that name")
	return cmd
}

func (a *app) profileUseCommand() *cobra.Command {
	return &cobra.Command{Use: "use NAME", Short: "Choose the profile that holds from now on", Args: words(1, 1), ValidArgsFunction: a.completeProfiles,
		Example: "  holdfast profile use prod",
		RunE: run(func(_ *cobra.Command, args []string) error {
			all, err := a.loadProfiles()
			if err != nil {
				return err
			}
			if _, ok := all.Profiles[args[0]]; !ok {
				return unknownProfile(args[0])
			}
			all.Current = args[0]
			if err := a.saveProfiles(all); err != nil {
				return err
			}
			a.talk("profile %s is in use", args[0])
			return nil
		})}
}

type listedProfile struct {
	Name    string `json:"name"`
	Current bool   `json:"current"`
	profile
}

func (a *app) profileListCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Aliases: []string{"ls"}, Short: "List the profiles", Args: words(0, 0), ValidArgsFunction: cobra.NoFileCompletions,
		Example: "  holdfast profile list\n  holdfast profile list -O json",
		RunE: run(func(*cobra.Command, []string) error {
			all, err := a.loadProfiles()
			if err != nil {
				return err
			}
			list := []listedProfile{}
			var rows []any
			for _, name := range slices.Sorted(maps.Keys(all.Profiles)) {
				row := listedProfile{Name: name, Current: name == all.Current, profile: all.Profiles[name]}
				list, rows = append(list, row), append(rows, row)
			}
			return a.print(listing{value: list, rows: rows, text: func(bool) error {
				var grid [][]any
				for _, p := range list {
					mark := ""
					if p.Current {
						mark = "*"
					}
					grid = append(grid, []any{mark, clean(p.Name), clean(strings.Join(p.Brokers, ",")), clean(dash(p.Admin))})
				}
				return a.grid([]any{"", "NAME", "BROKERS", "ADMIN"}, grid)
			}})
		})}
	a.outputFlag(cmd)
	return cmd
}

func (a *app) profileShowCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "show [NAME]", Aliases: []string{"print", "current"}, Short: "Show a profile; without a name, the one that holds", Args: words(0, 1), ValidArgsFunction: a.completeProfiles,
		Example: "  holdfast profile show\n  holdfast profile show prod -O json",
		RunE: run(func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				a.profile = args[0]
			}
			name, p, err := a.chosenProfile()
			if err != nil {
				return err
			}
			if name == "" {
				return withFix(errors.New("no profile is in use"), "Commands then ask %s. `holdfast profile create NAME -b HOST:PORT` makes one.", defaultBroker)
			}
			return a.print(listing{value: listedProfile{Name: name, Current: true, profile: p}, text: func(bool) error {
				_, err := fmt.Fprintf(a.Streams.Out, "Profile:  %s\nBrokers:  %s\nAdmin:    %s\nOptions:  %s\n", clean(name), clean(strings.Join(p.Brokers, ",")), clean(dash(p.Admin)), clean(dash(strings.Join(p.Options, " "))))
				return err
			}})
		})}
	a.outputFlag(cmd)
	return cmd
}

func (a *app) profileDeleteCommand() *cobra.Command {
	return &cobra.Command{Use: "delete NAME", Aliases: []string{"rm"}, Short: "Delete a profile", Args: words(1, 1), ValidArgsFunction: a.completeProfiles,
		Example: "  holdfast profile delete prod",
		RunE: run(func(_ *cobra.Command, args []string) error {
			all, err := a.loadProfiles()
			if err != nil {
				return err
			}
			if _, ok := all.Profiles[args[0]]; !ok {
				return unknownProfile(args[0])
			}
			delete(all.Profiles, args[0])
			inUse := all.Current == args[0]
			if inUse {
				all.Current = ""
			}
			if err := a.saveProfiles(all); err != nil {
				return err
			}
			a.talk("profile %s is deleted", args[0])
			if inUse {
				a.talk("no profile is in use now: commands ask %s unless they are told otherwise; `holdfast profile use NAME` chooses another", defaultBroker)
			}
			return nil
		})}
}

// completeProfiles offers the names of profiles to the shell.
func (a *app) completeProfiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	all, err := a.loadProfiles()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return slices.Sorted(maps.Keys(all.Profiles)), cobra.ShellCompDirectiveNoFileComp
}

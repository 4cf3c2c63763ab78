package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/needle-search/needle/models/onnx"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/store"
)

func (a *app) doctorCommand() *cobra.Command {
	quick := false
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check what Needle needs and say how to mend what is wrong",
		Long: `Looks at the configuration, the data directory and the space on its disk, the
library of ONNX Runtime, the model, which reads a sentence, Elasticsearch where it
is configured, keys and the address to listen on, certificates, the clock, and
every index, which is read as a whole (--quick leaves that out). It changes
nothing. While a server holds the data directory, the server is asked.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d := &doctor{app: a, quick: quick}
			d.run(cmd.Context())
			if a.json {
				if err := printJSON(cmd.OutOrStdout(), onnx.Report{Checks: d.checks}); err != nil {
					return err
				}
			} else {
				d.print(cmd.OutOrStdout())
			}
			for _, c := range d.checks {
				if !c.OK {
					return errors.New("doctor: not everything is well; see above")
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&quick, "quick", false, "do not read the indexes as a whole")
	return cmd
}

// A doctor collects checks. A remedy beside one that is OK is advice.
type doctor struct {
	app    *app
	quick  bool
	cfg    *pipeline.Config
	checks []onnx.Check
}

func (d *doctor) ok(name, format string, args ...any) {
	d.checks = append(d.checks, onnx.Check{Name: name, OK: true, Detail: fmt.Sprintf(format, args...)})
}

func (d *doctor) advise(name, remedy, format string, args ...any) {
	d.checks = append(d.checks, onnx.Check{Name: name, OK: true, Detail: fmt.Sprintf(format, args...), Remedy: remedy})
}

func (d *doctor) fault(name, remedy string, err error) {
	d.checks = append(d.checks, onnx.Check{Name: name, Detail: err.Error(), Remedy: remedy})
}

func (d *doctor) print(out io.Writer) {
	for _, c := range d.checks {
		mark := "ok   "
		switch {
		case !c.OK:
			mark = "fault"
		case c.Remedy != "":
			mark = "note "
		}
		fmt.Fprintf(out, "%s  %s: %s\n", mark, c.Name, c.Detail)
		if c.Remedy != "" {
			fmt.Fprintf(out, "       %s\n", c.Remedy)
		}
	}
}

// run does all checks that make sense: of a configuration that cannot be read
// only the library is left to look at.
func (d *doctor) run(ctx context.Context) {
	cfg, err := d.app.config()
	library := ""
	if err != nil {
		d.fault("configuration", "Mend the keys that are named; docs/configuration.md lists all of them.", err)
	} else {
		d.ok("configuration", "valid; retriever %s, reader %s", cfg.Retriever.Type, cfg.Reader.Bundle)
		d.cfg, library = cfg, cfg.Runtime.Library
	}
	report, err := onnx.Doctor(ctx, onnx.SetupOptions{Path: library})
	if err != nil {
		d.fault("library", "Mend runtime.library.", err)
	}
	d.checks = append(d.checks, report.Checks...)
	if d.cfg == nil {
		return
	}
	d.checkData()
	d.checkSpace("temporary files", os.TempDir(), "Uploads and archives wait there; make room, or set TMPDIR.")
	d.checkClock(ctx)
	d.checkCertificate()
	if note := runningServer(ctx, cfg.Data); note.URL != "" {
		d.checkServer(ctx, note)
		return
	}
	d.checkExposure(ctx)
	d.checkListen(ctx)
	d.checkPipeline(ctx, report.OK())
}

// checkData looks at rights and space of the data directory, which need not
// exist yet.
func (d *doctor) checkData() {
	const name = "data directory"
	dir := d.cfg.Data
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		parent := dir
		for errors.Is(err, fs.ErrNotExist) && filepath.Dir(parent) != parent {
			parent = filepath.Dir(parent)
			_, err = os.Stat(parent)
		}
		if err == nil {
			err = tryWriting(parent)
		}
		if err != nil {
			d.fault(name, "Give the user that runs Needle a directory that it may write to, with data: in the configuration or --data.", err)
			return
		}
		d.ok(name, "%s is not there yet and can be made", dir)
		d.checkSpace("disk", parent, "Make room, or choose another place with data: in the configuration.")
		return
	case err == nil && !info.IsDir():
		err = fmt.Errorf("%s is a file", dir)
	case err == nil:
		err = tryWriting(dir)
	}
	if err != nil {
		d.fault(name, "Give the directory to the user that runs Needle (chown -R), or name another one.", err)
		return
	}
	switch open := unsafeFiles(dir); {
	case runtime.GOOS != "windows" && len(open) > 0:
		d.advise(name, "Take the rights away: chmod -R go-rwx "+dir, "%s can be written; others may read or change %s", dir, open[0])
	default:
		d.ok(name, "%s can be written", dir)
	}
	d.checkSpace("disk", dir, "Make room: documents are refused when the disk is full. `needle index compact` gives back what was deleted.")
}

// tryWriting makes a file in a directory and takes it away again.
func tryWriting(dir string) error {
	f, err := os.CreateTemp(dir, ".needle-doctor-*")
	if err != nil {
		return err
	}
	_, err = f.WriteString("x")
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name()))
}

// unsafeFiles returns what of the secrets in a data directory others than the
// owner may read, and the directory if they may change it.
func unsafeFiles(dir string) (open []string) {
	if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&0o022 != 0 {
		open = append(open, dir)
	}
	for _, name := range []string{"store.db", serverFile} {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode().Perm()&0o077 != 0 {
			open = append(open, filepath.Join(dir, name))
		}
	}
	return open
}

// Space below which an index or an upload is about to fail, and below which it is
// time to think of it.
const (
	tooLittleSpace = 64 << 20
	littleSpace    = 1 << 30
)

func (d *doctor) checkSpace(name, dir, remedy string) {
	free, err := freeSpace(dir)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
	case err != nil:
		d.fault(name, remedy, fmt.Errorf("the free space of %s is not known: %w", dir, err))
	case free < tooLittleSpace:
		d.fault(name, remedy, fmt.Errorf("%v are free at %s", pipeline.ByteSize(free), dir))
	case free < littleSpace:
		d.advise(name, remedy, "%v are free at %s", pipeline.ByteSize(free), dir)
	default:
		d.ok(name, "%v are free at %s", pipeline.ByteSize(free), dir)
	}
}

// checkExposure looks at who could use a server.
func (d *doctor) checkExposure(ctx context.Context) {
	const name = "access"
	has := false
	var kept *store.Store
	var err error
	if _, statErr := os.Stat(d.cfg.Data); statErr == nil { // opening it would make it
		kept, err = d.cfg.OpenStore(ctx)
	}
	if kept != nil {
		has, err = kept.HasKeys(ctx)
		err = errors.Join(err, kept.Close())
	}
	if err != nil {
		remedy := "A server refuses to start like this. Restore store.db from a copy, or move it away and make new keys."
		switch {
		case errors.Is(err, store.ErrLocked):
			remedy = "Another process has it open; wait until it has ended."
		case errors.Is(err, store.ErrUnavailable):
			remedy = "Start Elasticsearch, or mend retriever.addresses."
		case errors.Is(err, store.ErrVersion):
			remedy = "Use the version of Needle that wrote it, or a later one."
		}
		d.fault(name, remedy, err)
		return
	}
	if err := d.cfg.Server.CheckExposure(has); err != nil {
		d.fault(name, "Make a key: needle keys create --name admin --role admin", err)
		return
	}
	host, _, _ := net.SplitHostPort(d.cfg.Server.Addr)
	ip := net.ParseIP(host)
	local := host == "localhost" || ip != nil && ip.IsLoopback()
	secured := has || d.cfg.Server.Auth.Required || d.cfg.Server.Auth.JWT.Enabled()
	switch {
	case !local && !secured:
		d.advise(name, "Make a key (needle keys create), unless something in front of the server asks for one.", "server.allow_public: everybody who reaches %s may read and write", d.cfg.Server.Addr)
	case !local && d.cfg.Server.TLS.Cert == "":
		d.advise(name, "Set server.tls, or let a proxy on the same machine encrypt.", "keys are needed, and travel to %s as plain text", d.cfg.Server.Addr)
	case secured:
		d.ok(name, "keys or tokens are needed")
	default:
		d.ok(name, "no keys; the server would listen on loopback only (%s)", d.cfg.Server.Addr)
	}
}

// checkListen tries the address that a server would listen on.
func (d *doctor) checkListen(ctx context.Context) {
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", d.cfg.Server.Addr)
	if err != nil {
		d.advise("address", "End the program that has it, or set server.addr or --addr, before you serve.", "%v", err)
		return
	}
	_ = listener.Close()
	d.ok("address", "%s is free", d.cfg.Server.Addr)
}

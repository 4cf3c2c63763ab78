package ortlib

import (
	"path/filepath"
	"strings"
)

// A client is a package client that may be on the machine. It is asked by
// package name only: where packages come from is the user's configuration of
// that client.
type client struct {
	name string
	// programs are the ways to start it, best first: program and first
	// arguments.
	programs [][]string
	// arguments ask for the package, with everything the client writes under
	// work and the archive in out.
	arguments func(p Platform, work, out string) []string
	// environment is set on top of the process's own.
	environment func(work string) []string
	// absent tells from the output of a failed program that it is not there,
	// so that the next program is worth a try.
	absent func(output string) bool
	// remark is what a user should know before choosing this client.
	remark string
}

// clients lists the package clients, the one that moves least first: 23 MB for
// pip, 76 MB for mvn with its plug-ins, 112 MB for npm. On a fast line (and two
// cores) they took 1 to 3 s, 10 to 14 s and 5 to 12 s.
func clients() []client {
	return []client{
		{
			name:        "pip",
			programs:    [][]string{{"python3", "-m", "pip"}, {"python", "-m", "pip"}, {"py", "-3", "-m", "pip"}, {"pip3"}, {"pip"}},
			arguments:   pipArguments,
			environment: pipEnvironment,
			absent:      func(output string) bool { return strings.Contains(output, "No module named pip") },
			remark:      "23 MB",
		},
		{
			name:      "mvn",
			programs:  [][]string{{"mvn"}},
			arguments: mavenArguments,
			remark:    "54 MB",
		},
		{
			name:        "npm",
			programs:    [][]string{{"npm"}},
			arguments:   npmArguments,
			environment: npmEnvironment,
			remark:      "112 MB",
		},
	}
}

// pipArguments name one wheel whatever Python runs pip: the library in it is
// the same for all versions of Python, but the digest of the wheel is not.
func pipArguments(p Platform, _, out string) []string {
	tag := map[Platform]string{
		{"linux", "amd64"}:   "manylinux_2_28_x86_64",
		{"linux", "arm64"}:   "manylinux_2_28_aarch64",
		{"darwin", "arm64"}:  "macosx_14_0_arm64",
		{"windows", "amd64"}: "win_amd64",
	}[p]
	return []string{
		"download", "--quiet", "--no-deps", "--no-cache-dir", "--only-binary=:all:", "--timeout=15", "--retries=1",
		"--platform=" + tag, "--python-version=3.12", "--implementation=cp", "--abi=cp312",
		"--dest=" + out, "onnxruntime==" + Version,
	}
}

func pipEnvironment(work string) []string {
	return append(tempEnvironment(work), "PIP_NO_INPUT=1", "PIP_DISABLE_PIP_VERSION_CHECK=1", "PIP_REQUIRE_VIRTUALENV=0")
}

// mavenArguments give Maven a repository of its own: what it needs to run the
// plug-in is fetched again, but the user's repository stays untouched.
func mavenArguments(_ Platform, work, out string) []string {
	return []string{
		"--quiet", "--batch-mode", "-Dmaven.repo.local=" + filepath.Join(work, "repository"),
		"-Daether.connector.connectTimeout=10000", "-Daether.connector.requestTimeout=30000",
		"-Dmaven.wagon.rto=30000",
		"org.apache.maven.plugins:maven-dependency-plugin:3.6.0:copy",
		"-Dartifact=com.microsoft.onnxruntime:onnxruntime:" + Version + ":jar",
		"-DoutputDirectory=" + out,
	}
}

func npmArguments(_ Platform, work, out string) []string {
	return []string{
		"pack", "--silent", "--ignore-scripts", "--no-update-notifier", "--fetch-retries=1", "--fetch-timeout=60000",
		"--cache=" + filepath.Join(work, "npm"), "--pack-destination=" + out, "onnxruntime-node@" + Version,
	}
}

func npmEnvironment(work string) []string { return tempEnvironment(work) }

// tempEnvironment moves a client's temporary files under the work folder, where
// their growth can be watched and where they are cleared away.
func tempEnvironment(work string) []string {
	return []string{"TMPDIR=" + work, "TMP=" + work, "TEMP=" + work}
}

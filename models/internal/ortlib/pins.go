package ortlib

// A pin is a package that holds the library: what its archive and the library
// in it must be.
type pin struct {
	archive string // SHA-256 of the archive
	bytes   int64  // of the archive
	library string // SHA-256 of the library
}

// The digests of the three clients were computed from what the clients
// delivered for each platform. On Linux the Maven library is the same file as
// the one in the official release archive.
func packagePins() map[string]map[Platform]pin {
	const (
		jar       = "5933bbc0c6c4d89afc04bf7c11011de23a947509c1352e5bf5936e62a84e4d10"
		jarBytes  = 54400660
		node      = "cfdfb45ec4044b1fdca43e5d2e180fb6817e649ff8ad1e0dfc90e18e51b67037"
		nodeBytes = 111735068
	)
	linuxAMD64, linuxARM64 := Platform{"linux", "amd64"}, Platform{"linux", "arm64"}
	darwinARM64, windowsAMD64 := Platform{"darwin", "arm64"}, Platform{"windows", "amd64"}
	return map[string]map[Platform]pin{
		"pip": {
			linuxAMD64: {
				"2b80d8c7ec2cc7438e4da3760b88c24568cba72c9ace96d668800a6c79419acb", 23136745,
				"8902e52a04bf6bf26f1613746811d6194f9c97ce7a6a7a28452b48522d3bd8d0",
			},
			linuxARM64: {
				"d2fb19e848f7c33ed8d3182b52504aaa11c5e8da438bbb47296f85b133cbcf6b", 20816870,
				"1444bdca675524f4d265f71397810c9b1f39164b6dccc8f1a39cd81d938e98f4",
			},
			darwinARM64: {
				"3a3814c041251d6a77fdf513fb282056538ee826d2f1178a0df3c549d3fff6ba", 21430049,
				"8ab8982e8fc0a3d5121bf95404dba7a15d70b7df49a8bab1ba481ff961d93dc8",
			},
			windowsAMD64: {
				"4acf2b4948b7ede87221ca6332344b8facdc8059d6ac751a7d367d04532b02dd", 14001407,
				"f9013e824c1dbc5b1874ffdabeedfd1cad4e2dabd9d93528f6ec6d21c2980d00",
			},
		},
		"mvn": {
			linuxAMD64:   {jar, jarBytes, "5715f06d8992ca8eeeddcce43df3a7d38f97d537052126f558e912cb312460ca"},
			linuxARM64:   {jar, jarBytes, "a27d21126db312aa8f02f3d5eaebe466e991f51f469882e6d0407d5a8b64afda"},
			darwinARM64:  {jar, jarBytes, "07c5a23fecedb27d9325b1b2ba0c87830173f87b64edf2b294e32931af5c09cb"},
			windowsAMD64: {jar, jarBytes, "c1bae2b15344db7e27ad4ec07d1408630d290700d0db031d973e954e46eabf48"},
		},
		"npm": {
			linuxAMD64:   {node, nodeBytes, "89688f5cf51c7e31befbb7b9101bc027799009b18d1baa9a5b1146a72e69538d"},
			linuxARM64:   {node, nodeBytes, "a27d21126db312aa8f02f3d5eaebe466e991f51f469882e6d0407d5a8b64afda"},
			darwinARM64:  {node, nodeBytes, "3e4c63909e9fc6648c93c68741c1ccf1e3d89218dd1d6a7d4f3d629ffc7f9918"},
			windowsAMD64: {node, nodeBytes, "5e289b5494cc338d62806f2d24c24aa7cc09a00bbab0404d9169487a45e0053a"},
		},
	}
}

// A release is an archive of the official release page. Needle never fetches
// it by itself; messages offer it as a last way.
type release struct {
	url    string
	sha256 string
}

// releases are the official archives. Their digests come from published
// sources (build files of several independent projects agree on them); they
// were not computed here.
func releases() map[Platform]release {
	const base = "https://github.com/microsoft/onnxruntime/releases/download/v" + Version + "/onnxruntime-"
	return map[Platform]release{
		{"linux", "amd64"}: {
			base + "linux-x64-" + Version + ".tgz",
			"c3fddc4f139a045b0c4902c57410f0694f1c2fdf9b6939fbe38b1aeae7cd14ba",
		},
		{"linux", "arm64"}: {
			base + "linux-aarch64-" + Version + ".tgz",
			"e1799098ebc054b370f6176a450f158720f297818c613e5dc99b92e2ec82346f",
		},
		{"darwin", "arm64"}: {
			base + "osx-arm64-" + Version + ".tgz",
			"d0706fc34f315d8c88639d0a8c81f2e09e815f282cabed3493c06a054352cf92",
		},
		{"windows", "amd64"}: {
			base + "win-x64-" + Version + ".zip",
			"c9b4b7086b529ad814f428c1bad028e20a25d7dc0699836775faace4ab5b78b2",
		},
	}
}

// A trust is the set of digests that are accepted for one platform.
type trust struct {
	packages  map[string]pin    // by client
	archives  map[string]string // SHA-256 of an archive -> what it is
	libraries map[string]string // SHA-256 of a library -> what it is
}

// trustFor returns what is pinned for a platform; ok is false where nothing is.
func trustFor(p Platform) (t trust, ok bool) {
	t = trust{packages: map[string]pin{}, archives: map[string]string{}, libraries: map[string]string{}}
	for name, pins := range packagePins() {
		pin, found := pins[p]
		if !found {
			continue
		}
		t.packages[name] = pin
		t.archives[pin.archive] = name + " package " + Version
		t.libraries[pin.library] = name + " package " + Version
	}
	if r, found := releases()[p]; found {
		t.archives[r.sha256] = "release archive " + Version
	}
	return t, len(t.packages) > 0
}

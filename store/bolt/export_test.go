package bolt

import "go.etcd.io/bbolt"

// DB is the database of a file, for tests that look beneath.
func DB(f *File) *bbolt.DB { return f.db }

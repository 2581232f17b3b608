// Package access says who may do what: accounts with roles, sessions, tokens,
// one-use login links, and the throttle in front of them.
//
// Records lie in SQL; a full copy in memory answers. A counter in the database
// rises with every change, and is looked at once a second, so that a change
// made by another process (ioc passwd) takes effect here as well.
package access

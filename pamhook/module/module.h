// The PAM module's parts. See pam_ninefold.c.

#ifndef NINEFOLD_MODULE_H
#define NINEFOLD_MODULE_H

#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <stdbool.h>
#include <sys/types.h>

#include "../client/client.h"

struct options {
	bool prepare;        // before pam_systemd: say that this login is coming
	bool deny;           // on-failure=deny
	bool ask;            // in auth: ask for a profile
	bool alias;          // names that sshd knows: see alias.c
	bool guest;          // a guest's lines: see guest.c
	bool debug;
	const char *service; // the one that a guest's line is for
	const char *profile; // what the service asks for where the person does not
};

// login is who logs in, resolved on the host.
struct login {
	const char *user;
	uid_t uid;
	gid_t gid;
};

// login_of tells who logs in, and returns false where such a login never
// enters a view: root, system users, greeters, user managers (they go through
// ninefold-enter), and callers that are not root.
bool login_of(pam_handle_t *pamh, const struct options *o, struct login *login);

// manager_runs reports whether systemd has a unit for the user's manager, from the
// cgroup that it made for it. One that is just ending has it, too.
bool manager_runs(uid_t uid);

// take_choice_from_name makes PERSON and NINEFOLD_PROFILE=PROFILE of a typed
// PERSON+PROFILE, if PERSON is an account, and the whole is none or one of the
// same uid. What of it the person may choose is for the daemon to say.
void take_choice_from_name(pam_handle_t *pamh, const struct options *o);

// split_name copies the name before the last '+' and returns what follows it,
// or NULL.
const char *split_name(const char *typed, char *name, size_t size);

// The answers of the lines with the option alias, PAM_IGNORE where PAM_USER is
// none: alias_authenticate and alias_account ask the stack of the service about
// the person, alias_session makes the person the handle's user with the profile
// chosen, and alias_groups gives the process the person's groups, which sshd has
// looked up by the alias.
int alias_authenticate(pam_handle_t *pamh, int flags);
int alias_account(pam_handle_t *pamh, int flags);
int alias_session(pam_handle_t *pamh);
int alias_groups(pam_handle_t *pamh, int flags);

// is_alias_by_sshd reports whether PAM_USER is an alias that sshd is asked for,
// which must not change before the session.
bool is_alias_by_sshd(pam_handle_t *pamh);

// The answers of the lines with the option guest, PAM_IGNORE for whoever is none:
// guest_authenticate has sessiond make an account for who types "guest" in
// front of this machine and makes it the handle's user, guest_account lets that
// very login pass, and guest_session brings it where nothing of the host's runs.
int guest_authenticate(pam_handle_t *pamh, int flags, const struct options *o);
int guest_account(pam_handle_t *pamh);
int guest_session(pam_handle_t *pamh, int flags, const struct options *o);

// is_guest reports whether guest_authenticate has let this login in.
bool is_guest(pam_handle_t *pamh);

// ask_for_choice asks the person which profile it is to be, where sessiond
// offers some, and puts the answer into NINEFOLD_PROFILE. It asks at the prompts
// of login(1) and sshd(8) alone, and not who has chosen already. Without an
// answer it changes nothing.
void ask_for_choice(pam_handle_t *pamh, int flags, const struct options *o);

// load_names makes glibc load the name services that the login program will
// use after entering, so that they come from the host.
void load_names(const struct login *login);

// fill_request puts what PAM knows into a request.
void fill_request(pam_handle_t *pamh, const struct options *o, const struct login *login, struct door_request *r);

// enter_view goes into the namespaces of the answer, keeps the working
// directory where it exists inside, and then sets the answer's environment.
// On false everything is as before, *failed says what did not work and errno why.
bool enter_view(pam_handle_t *pamh, const struct door_answer *answer, const char **failed);

#endif

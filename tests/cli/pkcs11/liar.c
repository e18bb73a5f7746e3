/* A PKCS#11 module that is SoftHSM but for what the variable LIAR says of it:
 *   last     the next wrong PIN locks the token
 *   locked   the PIN is locked
 *   sign     a bit of each signature is flipped
 *   short    signatures lack a byte
 *   bare     points are not wrapped as an OCTET STRING, as PKCS#11 3.0 has it
 *   cut      points lack a byte
 *   weak     points are the neutral one
 *   lost     all sessions are lost before something is signed for the first time
 *   pad      the token has keys of its own to type the PIN on
 *   always   keys want a PIN before each signature
 * Each login adds a line to the file LIAR_LOG. The module that it stands before is LIAR_MODULE. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long number;
typedef struct { number type; void *value; number length; } attribute;
typedef struct { unsigned char version[2]; void *calls[68]; } functions;

/* Places in CK_FUNCTION_LIST. */
enum { GET_TOKEN_INFO = 6, OPEN = 12, CLOSE_ALL = 14, LOGIN = 18, GET_ATTRIBUTES = 24, SIGN_INIT = 42, SIGN = 43 };
enum { SESSION_HANDLE_INVALID = 0xb3 };
enum { FLAGS_AT = 96, OWN_KEYS = 0x100, FINAL_TRY = 0x20000, LOCKED = 0x40000 };
enum { ALWAYS_AUTHENTICATE = 0x202, EC_POINT = 0x181, WRAPPED = 34, BARE = 32 };

static functions real, ours;
static number last_slot;

static int lie(const char *name) {
    const char *told = getenv("LIAR");
    return told && !strcmp(told, name);
}

static number token_info(number slot, unsigned char *info) {
    number said = ((number (*)(number, unsigned char *))real.calls[GET_TOKEN_INFO])(slot, info);
    number flags;
    memcpy(&flags, info + FLAGS_AT, sizeof flags);
    if (lie("last")) flags |= FINAL_TRY;
    if (lie("pad")) flags |= OWN_KEYS;
    if (lie("locked")) flags |= LOCKED;
    memcpy(info + FLAGS_AT, &flags, sizeof flags);
    return said;
}

static number open_session(number slot, number flags, void *application, void *notify,
                           number *session) {
    last_slot = slot;
    return ((number (*)(number, number, void *, void *, number *))real.calls[OPEN])(
        slot, flags, application, notify, session);
}

static number login(number session, number user, unsigned char *pin, number length) {
    const char *path = getenv("LIAR_LOG");
    FILE *log = path ? fopen(path, "a") : NULL;
    if (log) { fputs("login\n", log); fclose(log); }
    return ((number (*)(number, number, unsigned char *, number))real.calls[LOGIN])(
        session, user, pin, length);
}

static number attributes(number session, number object, attribute *wanted, number count) {
    number said = ((number (*)(number, number, attribute *, number))real.calls[GET_ATTRIBUTES])(
        session, object, wanted, count);
    for (number at = 0; at < count; at++) {
        unsigned char *value = wanted[at].value;
        if (wanted[at].type == ALWAYS_AUTHENTICATE && value && lie("always")) *value = 1;
        if (wanted[at].type != EC_POINT || wanted[at].length != WRAPPED || !value) continue;
        if (lie("bare")) { memmove(value, value + 2, BARE); wanted[at].length = BARE; }
        if (lie("cut")) wanted[at].length = BARE - 1;
        if (lie("weak")) { memset(value + 2, 0, BARE); value[2] = 1; }
    }
    return said;
}

static number sign_init(number session, void *mechanism, number key) {
    static int lost;
    if (lie("lost") && !lost++) {
        ((number (*)(number))real.calls[CLOSE_ALL])(last_slot);
        return SESSION_HANDLE_INVALID;
    }
    return ((number (*)(number, void *, number))real.calls[SIGN_INIT])(session, mechanism, key);
}

static number sign(number session, unsigned char *data, number length, unsigned char *signature,
                   number *signature_length) {
    typedef number (*call)(number, unsigned char *, number, unsigned char *, number *);
    number said = ((call)real.calls[SIGN])(session, data, length, signature, signature_length);
    if (!said && signature && lie("sign")) signature[7] ^= 1;
    if (!said && signature && lie("short")) *signature_length -= 1;
    return said;
}

number C_GetFunctionList(functions **list) {
    const char *path = getenv("LIAR_MODULE");
    void *module = path ? dlopen(path, RTLD_NOW) : NULL;
    number (*get)(functions **) = module ? dlsym(module, "C_GetFunctionList") : NULL;
    functions *found;
    if (!get || get(&found)) return 5; /* CKR_GENERAL_ERROR */
    real = ours = *found;
    ours.calls[GET_TOKEN_INFO] = token_info;
    ours.calls[OPEN] = open_session;
    ours.calls[LOGIN] = login;
    ours.calls[GET_ATTRIBUTES] = attributes;
    ours.calls[SIGN_INIT] = sign_init;
    ours.calls[SIGN] = sign;
    *list = &ours;
    return 0;
}

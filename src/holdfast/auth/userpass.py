"""Userpass: users with passwords, kept in this method. Source: Vault API, auth/userpass.

Decides: who logs in, and how a token of an earlier login goes on. Invariants: (1) names are lower case everywhere: key, alias, metadata;
(2) no password is kept, only its bcrypt hash, and no hash is ever shown; (3) an unknown user and a wrong password take the same time, get
the same answer and are counted alike. Left to core: lockout, entity, alias, token.
"""
import re
from typing import Annotated

import msgspec
from msgspec.structs import replace

from holdfast.auth import password as passwords
from holdfast.auth import token_fields
from holdfast.auth.token_fields import OldTokenFields
from holdfast.engine import (
    Context,
    Engine,
    Given,
    Input,
    Login,
    Method,
    Nothing,
    Place,
    Renewal,
    Response,
    Route,
    Strings,
    Table,
    TokenParams,
    Txn,
    doc,
    is_within,
    listing,
    on,
)
from holdfast.errors import BadRequest, LoginFailed, NotFound, PermissionDenied, UnsupportedPath
from holdfast.limits import NAME_MAX
from holdfast.replica import Why

_NAME = re.compile(r"\w(?:[\w.-]*\w)?", re.ASCII)


class User(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    password_hash: bytes
    token: TokenParams = TokenParams()
    old_names: tuple[str, ...] = ()                      # of the token fields that were set by their old names


USERS = Table("user/", User, cached=True)


class UserName(Input, frozen=True):
    username: Annotated[str, doc("Name of the user; upper and lower case are the same.")]


class WriteUser(OldTokenFields, frozen=True):
    username: Annotated[str, doc("Name of the user; upper and lower case are the same.")]
    password: Annotated[str, doc("Password of the user, at most 72 bytes.")] = ""
    password_hash: Annotated[str, doc("The password's bcrypt hash, instead of the password.")] = ""


class WritePassword(Input, frozen=True):
    username: Annotated[str, doc("Name of the user.")]
    password: Annotated[str, doc("The new password, at most 72 bytes.")] = ""
    password_hash: Annotated[str, doc("The new password's bcrypt hash, instead of the password.")] = ""


class WritePolicies(Input, frozen=True):
    username: Annotated[str, doc("Name of the user.")]
    token_policies: Annotated[Strings, doc("Policies of the user's tokens.")] = None
    policies: Annotated[Strings, doc("Old name of token_policies.")] = None


class LogIn(Input, frozen=True):
    username: Annotated[str, doc("Name of the user; upper and lower case are the same.")]
    password: Annotated[str, doc("Password of the user.")] = ""


def list_users(txn: Txn, args: Nothing, ctx: Context) -> Response:
    """List the users."""
    return listing(USERS.list(txn))


def read_user(txn: Txn, args: UserName, ctx: Context) -> Response:
    """Read a user's settings."""
    user = USERS.get(txn, name_of(args.username))
    if user is None:
        raise NotFound
    return Response(data=token_fields.shown(user.token, user.old_names))


def write_user(txn: Txn, args: WriteUser, ctx: Context) -> Response:
    """Make a user, or change one: what is not sent stays."""
    name = name_of(args.username)
    user = USERS.get(txn, name)
    token = token_fields.changed(user.token if user else TokenParams(), token_fields.by_new_names(args))
    names = token_fields.old_names(user.old_names if user else (), args)
    if user is None or args.password or args.password_hash:
        USERS.put(txn, name, User(password_hash=_new_hash(txn, args.password, args.password_hash, ctx), token=token, old_names=names))
    else:
        USERS.put(txn, name, replace(user, token=token, old_names=names))
    return Response()


def delete_user(txn: Txn, args: UserName, ctx: Context) -> Response:
    """Delete a user; tokens it has live on until they are to be renewed."""
    USERS.delete(txn, name_of(args.username))
    return Response()


def write_password(txn: Txn, args: WritePassword, ctx: Context) -> Response:
    """Change a user's password."""
    user = _known(txn, args.username)
    USERS.put(txn, name_of(args.username), replace(user, password_hash=_new_hash(txn, args.password, args.password_hash, ctx)))
    return Response()


def write_policies(txn: Txn, args: WritePolicies, ctx: Context) -> Response:
    """Change the policies of a user's tokens."""
    user = _known(txn, args.username)
    names = None if args.token_policies is None else list(token_fields.policy_names(args.token_policies))
    sent = OldTokenFields(token_policies=names, policies=args.policies)
    if sent != OldTokenFields():
        USERS.put(txn, name_of(args.username), replace(user, token=token_fields.changed(user.token, token_fields.by_new_names(sent)),
                                          old_names=token_fields.old_names(user.old_names, sent)))
    return Response()


def log_in(txn: Txn, args: LogIn, ctx: Context) -> Response:
    """Log in with a username and a password."""
    name = name_of(args.username)
    if not args.password:
        raise BadRequest("missing password")
    user = USERS.get(txn, name)
    matches = ctx.heavy(passwords.matches, args.password, user.password_hash if user else passwords.NOBODY)
    if user is None or not matches:
        raise LoginFailed("invalid username or password")
    if user.token.bound_cidrs and not is_within(ctx.request.client.address, user.token.bound_cidrs):
        raise PermissionDenied
    return Response(login=Login(alias=name, display_name=name, token=user.token, metadata={"username": name}))


def renew(txn: Txn, renewal: Renewal, ctx: Context) -> TokenParams:
    """A token goes on as the user's settings are now, if the user and its policies are still what they were."""
    user = USERS.get(txn, renewal.alias)
    if user is None:
        raise BadRequest("user no longer exists, not renewing")
    if not token_fields.same_policies(user.token.policies, renewal.policies):
        raise BadRequest("policies have changed, not renewing")
    return user.token


def exists(txn: Txn, given: Given) -> bool:
    return USERS.get(txn, given.path["username"].lower()) is not None


def name_of(username: str) -> str:
    """As it is kept. Raises UnsupportedPath: no name that a user can have."""
    if len(username) > NAME_MAX or _NAME.fullmatch(username) is None:
        raise UnsupportedPath
    return username.lower()


def _known(txn: Txn, username: str) -> User:
    user = USERS.get(txn, name_of(username))
    if user is None:
        raise BadRequest("username does not exist")
    return user


def _new_hash(txn: Txn, password: str, password_hash: str, ctx: Context) -> bytes:
    if password and password_hash:
        raise BadRequest("only one of password or password_hash may be provided")
    if password_hash:
        return passwords.check_hash(password_hash)
    if not password:
        raise BadRequest("missing password")
    passwords.check_password(password)
    txn.need(Place.ACTIVE, Why.WRITE)                    # a write in any case: the salt is drawn, and the work done, there alone
    return ctx.heavy(passwords.hashed, password, ctx.rng.bytes(passwords.SALT_BYTES))


USERPASS = Engine(type="userpass", is_auth=True, renew_login=renew, routes=(
    Route("users", "The users of this method.", {
        Method.LIST: on(Nothing, list_users),
    }),
    Route("users/:username", "A user: a password, and how the tokens of its logins are made.", {
        Method.GET: on(UserName, read_user),
        Method.POST: on(WriteUser, write_user, exists=exists),
        Method.DELETE: on(UserName, delete_user),
    }),
    Route("users/:username/password", "Sets a user's password, or its bcrypt hash.", {
        Method.POST: on(WritePassword, write_password),
    }),
    Route("users/:username/policies", "Sets the policies of a user's tokens.", {
        Method.POST: on(WritePolicies, write_policies),
    }),
    Route("login/:username", "Logs in with a username and a password.", {
        Method.POST: on(LogIn, log_in, public=True, alias=lambda args: args.username.lower()),
    }),
))

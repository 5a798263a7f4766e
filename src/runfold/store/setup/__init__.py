"""What a database needs before it can be used: migrations, logins and rights."""

-- The three databases of deploy/tiled/config.yml, for the account that runs this.
CREATE DATABASE xanes_catalog;
CREATE DATABASE xanes_authn;
CREATE DATABASE xanes_tables;
